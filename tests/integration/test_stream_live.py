"""Live updates of browsers over a real socket: each page hears of its own commune, the console of all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from beffroi.core.events import outbox
from beffroi.core.identity.models import Administrator, Membership, Person
from beffroi.core.planes.db import Database
from beffroi.core.planes.tokens import make_grant
from beffroi.lib import clock
from beffroi.stream import live
from beffroi.stream.uplink import Enforced
from django.contrib.sessions.models import Session
from django.db import transaction

from tests.fixtures_stream import Centre, Held, block, eventually, running_centre, signed_in  # noqa: F401

A, B = "col_a", "col_b"


def tell(kind: str, payload: dict[str, object], collectivite_id: str | None = None) -> None:
    with transaction.atomic():
        outbox.publish(kind, payload, collectivite_id=collectivite_id)


def events(held: Held, last: str) -> list[tuple[str, str]]:
    """The events up to one whose kind is ``last``."""
    found: list[tuple[str, str]] = []
    while not found or found[-1][0] != last:
        line = held.line()
        if line.startswith(b"data: "):
            data = json.loads(line.removeprefix(b"data: "))
            found.append((data["kind"], data["id"]))
    return found


def test_page_hears_its_own_commune_and_what_is_for_all(centre: Centre) -> None:
    a, b, console = centre.live(A), centre.live(B, subject="per_2"), centre.live(None, subject="adm_1")
    for held in (a, b, console):
        assert held.line() == b"retry: 2000"
    tell("remediation:done", {"job_id": "job_a"}, A)
    tell("remediation:done", {"job_id": "job_b"}, B)
    tell("sighting:reported", {"sighting_id": "sig_a"}, A)
    tell("campaign:opened", {"campaign_id": "cmp_1"})
    own = block("185.203.116.1", scope=B)
    decision = block("185.203.116.2")
    last = ("decision:activated", decision.id)
    assert events(a, "decision:activated") == [("remediation:done", "job_a"), last]
    heard_b = events(b, "decision:activated")
    assert heard_b == [("remediation:done", "job_b"), ("decision:activated", own.id)]
    assert events(b, "decision:activated") == [last]
    heard = events(console, "decision:activated") + events(console, "decision:activated")
    assert heard == [
        ("remediation:done", "job_a"),
        ("remediation:done", "job_b"),
        ("sighting:reported", "sig_a"),
        ("campaign:opened", "cmp_1"),
        ("decision:activated", own.id),
        last,
    ]


def test_grant_is_checked(centre: Centre) -> None:
    good = centre.grant(A)
    refusals = [
        {},
        {"Cookie": "beffroi_live=x.y"},
        {"Cookie": good["Cookie"] + "0"},
        centre.grant(A, ttl_s=-1),
        centre.grant(A, path="/elsewhere"),
        {**centre.grant(None), "X-Beffroi-Listener": "portal"},
    ]
    for headers in refusals:
        refused = centre.request("GET", "/live", b"", headers)
        assert refused.status == 403, headers
        assert refused.code in ("live.grant_refused", "access.not_allowed")
    assert centre.live(A).line()


def test_console_hears_what_a_box_enforces(centre: Centre) -> None:
    from beffroi_protocol.messages import VERSION, Ack, AckBatch, encode

    box = centre.box(A)
    console, own, other = centre.live(None, subject="adm_1"), centre.live(A), centre.live(B, subject="per_2")
    body = encode(AckBatch(VERSION, (Ack("box", 1, 4, 1000),)))
    box.follow("box:0:0:").say(body)
    assert events(console, "box:enforced") == [("box:enforced", box.id)]
    assert events(own, "box:enforced") == [("box:enforced", box.id)]
    tell("decision:ended", {"decision_id": "dec_1", "kind": "ip", "scope": "all"})
    assert events(other, "decision:ended") == [("decision:ended", "dec_1")]


def _stored(plane: Database) -> list[int]:
    return [int(row[0]) for row in plane.execute("SELECT version FROM box_ack WHERE channel = 'box'")]


def test_a_fleet_that_enforces_one_decision_is_told_in_counts(centre: Centre, plane: Database) -> None:
    from beffroi_protocol.messages import VERSION, Ack, AckBatch, encode

    said = [centre.box(A if n % 2 else B).follow("box:0:0:") for n in range(12)]
    console, own = centre.live(None, subject="adm_1"), centre.live(A)
    for version in (4, 5):
        for box in said:
            box.say(encode(AckBatch(VERSION, (Ack("box", 1, version, 1000),))))
        # One that follows within the window of a commit would count instead.
        eventually(lambda v=version: _stored(plane) == [v] * 12, "stored")
    for held, expected in ((console, 12), (own, 6)):
        counted = {4: 0, 5: 0}
        while min(counted.values()) < expected:
            line = held.line()
            if line.startswith(b"data: ") and b"box:enforced" in line:
                told = json.loads(line.removeprefix(b"data: "))
                assert bool(told["id"]) == (told["boxes"] == 1)
                counted[told["version"]] += told["boxes"]
        assert counted == {4: expected, 5: expected}, "each box once"


def test_seven_hundred_boxes_take_little_of_a_pages_queue() -> None:
    sent: list[tuple[str, dict[str, object]]] = []

    async def play() -> None:
        gathered = live.Gathered(lambda topic, data: sent.append((topic, json.loads(data[6:]))))
        for n in range(700):
            gathered.add(Enforced(f"box_{n}", f"col_{n}", "box", 9))
        assert [told["boxes"] for topic, told in sent if topic == live.CONSOLE] == [1], "the first at once"
        await asyncio.sleep(live.GATHER_S * 1.5)
        for n in range(700):
            gathered.add(Enforced(f"box_{n}", f"col_{n}", f"box@col_{n}", 2))
        await asyncio.sleep(live.GATHER_S * 1.5)

    asyncio.run(play())
    console = [told for topic, told in sent if topic == live.CONSOLE]
    assert [(told["channel"], told["boxes"]) for told in console] == [("box", 1), ("box", 699), ("", 700)]
    assert [told["boxes"] for topic, told in sent if topic == "live:col_5"] == [1, 1]


def test_health_sums_up_the_overlays_and_lists_them_on_request(centre: Centre) -> None:
    for n in range(3):
        block(f"185.203.116.{n + 1}", scope=f"col_{n}")
    eventually(lambda: centre.health()["events_behind"] == 0, "published")
    told = centre.health()
    assert not [name for name in told["versions"] if "@" in name]  # type: ignore[attr-defined]
    overlays = told["overlays"]
    assert isinstance(overlays, dict) and (overlays["count"], overlays["entries"]) == (12, 12)
    assert 0 < overlays["oldest_change_at"] <= overlays["newest_change_at"] <= clock.epoch_s()
    assert centre.health("?full")["versions"]["box@col_1"] == 1


def test_person_holds_few_connections(centre: Centre) -> None:
    first = centre.live(A)
    for _ in range(8):
        centre.live(A)
    assert first.ended()
    assert centre.health()["browsers"] == 8


def _signs_out(subject: str) -> None:
    Session.objects.all().delete()


def _is_suspended(subject: str) -> None:
    Person.objects.filter(pk=subject).update(is_active=False)


def _leaves(subject: str) -> None:
    Membership.objects.filter(person_id=subject).update(until=clock.now())


def _is_sanctioned(subject: str) -> None:
    Person.objects.filter(pk=subject).update(sessions_from=clock.now())


def _has_another_password(subject: str) -> None:
    Person.objects.filter(pk=subject).update(password="another")


def _comes_to_its_term(subject: str) -> None:
    Session.objects.update(expire_date=clock.now() - timedelta(seconds=1))


@pytest.mark.parametrize(
    "ends", [_signs_out, _is_suspended, _leaves, _is_sanctioned, _has_another_password, _comes_to_its_term]
)
def test_who_may_no_more_hears_nothing_within_seconds(centre: Centre, ends: Callable[[str], None]) -> None:
    grant, other = centre.grant(A), centre.grant(B, subject="per_2")
    held, stays = centre.hold("/live", grant), centre.hold("/live", other)
    assert held.line() == b"retry: 2000"
    ends("per_1")
    assert held.ended()
    refused = centre.request("GET", "/live", b"", grant)
    assert (refused.status, refused.code) == (403, "live.grant_refused"), "nor does a kept grant begin again"
    if ends not in (_signs_out, _comes_to_its_term):
        tell("decision:ended", {"decision_id": "dec_1", "kind": "ip", "scope": "all"})
        assert events(stays, "decision:ended")


@pytest.mark.parametrize("ends", [{"is_active": False}, {"session_version": 2}])
def test_an_administrator_who_was_ended_or_renewed_hears_nothing_more(
    centre: Centre, ends: dict[str, object]
) -> None:
    grant = centre.grant(None, subject="adm_1")
    held = centre.hold("/live", grant)
    assert held.line() == b"retry: 2000"
    Administrator.objects.filter(pk="adm_1").update(**ends)
    assert held.ended()
    assert centre.request("GET", "/live", b"", grant).status == 403


def test_a_grant_of_somebody_else_or_of_another_commune_opens_nothing(centre: Centre) -> None:
    key, own = centre.config.secret("live.key"), signed_in("per_1", A)
    signed_in("per_2", B)
    for subject, owner, role, session in (
        ("per_2", B, "agent", own.sealed(key)),
        ("per_1", B, "agent", own.sealed(key)),
        ("per_1", A, "referent", own.sealed(key)),
        ("per_1", A, "agent", own.sealed(b"another key")),
        ("per_1", A, "agent", ""),
        ("per_1", None, "administrator", own.sealed(key)),
    ):
        text = make_grant(
            key, subject_id=subject, collectivite_id=owner, paths=(live.PATH,), role=role, session=session
        )
        assert centre.request("GET", "/live", b"", {"Cookie": f"beffroi_live={text}"}).status == 403


def test_page_hears_of_an_incident_of_its_own_commune_only(centre: Centre) -> None:
    own, other, console = centre.live(A), centre.live(B, subject="per_2"), centre.live(None, subject="adm_1")
    tell("incident:opened", {"incident_id": "inc_1", "kind": "leak"}, A)
    tell("decision:ended", {"decision_id": "dec_1", "kind": "ip", "scope": "all"})
    for held in (own, console):
        assert events(held, "decision:ended")[0] == ("incident:opened", "inc_1")
    assert events(other, "decision:ended") == [("decision:ended", "dec_1")]
