"""A revoked box: its stream is closed and its key opens nothing anywhere. Real stream process, real signatures."""

from __future__ import annotations

import inspect
import json
import re
import time

import pytest
from beffroi.boxes import actions, api
from beffroi.boxes.models import Box
from beffroi.core.decisions import lists
from beffroi.core.identity.actor import Actor
from beffroi.stream import app
from beffroi_protocol.enrolment_code import new_code, prove_key
from beffroi_protocol.facts import FactBatch
from beffroi_protocol.messages import VERSION, EnrolRequest, encode
from beffroi_protocol.signing import b64, public_bytes
from django.test import RequestFactory

from tests.conftest import Commune
from tests.fixtures_stream import BoxClient, Centre, eventually, running_centre  # noqa: F401

LIMIT_S = 60.0
PUBLIC = {"/v1/nonce"}  # gives a number to everybody, and nothing else
NOT_OF_BOXES = {"/healthz", "live.PATH", "uplink.PATH"}  # test_stream_live, test_stream_relays
SIGNED = {
    "/v1/feed": ("POST", "/v1/feed?since=box:0:0:", b""),
    "/v1/files/{digest}": ("GET", "/v1/files/{sha256}", b""),
    "/v1/facts": ("POST", "/v1/facts", encode(FactBatch(VERSION, ()))),
}


@pytest.fixture
def sha256(centre: Centre) -> str:
    row = lists.publish_list(
        actor=Actor.system("tests"), name="names", kind="domain", values=["lure.fr"],
        source="tests", licence="CC0", ttl_s=86400,
    )  # fmt: skip
    digest = row.row.sha256
    witness = centre.box("col_witness")
    path = f"/v1/files/{digest}"
    eventually(
        lambda: centre.request("GET", path, b"", witness.headers("GET", path)).status == 200, "published"
    )
    return digest


def asked(box: BoxClient, sha256: str, *, feed: bool = True) -> dict[str, tuple[int, str]]:
    """Status and code of a soundly signed request to every endpoint of boxes; without the feed, which stays open."""
    found = {}
    for name, (method, pattern, body) in SIGNED.items():
        if name == "/v1/feed" and not feed:
            continue
        path = pattern.replace("{sha256}", sha256)
        answer = box.centre.request(method, path, body, box.headers(method, path, body))
        found[name] = (answer.status, answer.code if answer.status != 200 else "")
    return found


def test_every_endpoint_is_known_to_this_test() -> None:
    routes = set(re.findall(r'route\("?([^",]*)"?, self', inspect.getsource(app)))
    assert routes == PUBLIC | set(SIGNED) | NOT_OF_BOXES


def test_revoking_closes_the_stream_and_every_endpoint_within_a_minute(
    centre: Centre, sha256: str, administrator: Actor, beaune: Commune
) -> None:
    box, neighbour = centre.box(beaune.id), centre.box(beaune.id)
    held, kept = box.follow("box:0:0:"), neighbour.follow("box:0:0:")
    assert held.line()
    sound = asked(box, sha256, feed=False)
    assert {status for status, _ in sound.values()} == {200}, sound

    began = time.monotonic()
    actions.revoke(actor=administrator, box=Box.objects.get(pk=box.id))
    refused = asked(box, sha256)  # at once: before the stream can have heard of it
    assert held.ended()
    closed_s = time.monotonic() - began
    assert set(refused.values()) == {(403, "box.revoked")}
    assert closed_s < LIMIT_S
    print(f"stream closed {closed_s * 1000:.0f} ms after the word")  # noqa: T201 - a figure, shown with -s
    assert kept.line()  # the neighbour's stays

    centre.stop()
    centre.start()  # nothing is remembered in memory only
    assert set(asked(box, sha256).values()) == {(403, "box.revoked")}


def test_a_revoked_key_cannot_speak_for_another_box(
    centre: Centre, sha256: str, administrator: Actor, beaune: Commune
) -> None:
    box, neighbour = centre.box(beaune.id), centre.box(beaune.id)
    actions.revoke(actor=administrator, box=Box.objects.get(pk=box.id))
    thief = BoxClient(neighbour.id, beaune.id, box.key, centre)
    assert {status for status, _ in asked(thief, sha256).values()} == {401}


def test_a_revoked_key_enrols_nowhere_without_a_new_code(
    centre: Centre, administrator: Actor, beaune: Commune
) -> None:
    box = centre.box(beaune.id)
    actions.revoke(actor=administrator, box=Box.objects.get(pk=box.id))
    public = b64(public_bytes(box.key))
    for code, proof in (("", prove_key(box.key)), ("", ""), (new_code(bytes(32)).locator, "")):
        body = encode(EnrolRequest(VERSION, code, "BF-1", public, "", proof))
        request = RequestFactory().post(
            "/v1/enrol",
            body,
            content_type="application/json",
            headers={"X-Beffroi-Listener": "box", "X-Forwarded-For": "198.51.100.9"},
        )
        answer = api.enrol(request)
        assert (answer.status_code, json.loads(answer.content)["code"]) == (403, "box.enrol_refused")
