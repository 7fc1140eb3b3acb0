"""Several front doors and relays for boîtiers: real HAProxy processes on one port before real planes."""

from __future__ import annotations

import contextlib
import http.client
import ssl
from collections.abc import Iterator

import msgspec
import pytest
from beffroi.lib.ids import new_id
from beffroi.stream import uplink
from beffroi_protocol.requests import sign_request
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests import front_planes
from tests.mail_post import Engines
from tests.waiting import PATIENCE_S, until

pytestmark = [pytest.mark.root, pytest.mark.slow]

FRONTS = ("box-front-1", "box-front-2")
SOURCES = tuple(f"127.0.7.{number}" for number in range(1, 9))


@pytest.fixture(scope="module")
def centre() -> Iterator[Engines]:
    numbers = {"stream_relays": 2, "box_fronts": 2}
    with front_planes.running("bfn-", 23110, numbers, "web", "console", *FRONTS, "front") as engines:
        yield engines


def ask(
    centre: Engines,
    path: str,
    *,
    source: str = "127.0.0.1",
    port: int = 0,
    method: str = "GET",
    headers: dict[str, str] | None = None,
) -> tuple[int, str]:
    """Return status and code (or nonce) of one request over a connection of its own."""
    context = ssl.create_default_context(cafile=str(centre.config.state / "tls" / "ca.pem"))
    connection = http.client.HTTPSConnection(
        "localhost",
        port or centre.config.box_port,
        timeout=PATIENCE_S,
        context=context,
        source_address=(source, 0),
    )
    with contextlib.closing(connection):
        connection.request(method, path, None, headers or {})
        answer = connection.getresponse()
        body = answer.read()
        try:
            said = msgspec.json.decode(body)
        except msgspec.DecodeError:
            return answer.status, ""
        return answer.status, str(said.get("nonce") or said.get("code", ""))


def test_nonce_of_one_connection_counts_on_the_next_of_the_same_source(centre: Engines) -> None:
    key = Ed25519PrivateKey.generate()
    for source in SOURCES:
        for _ in range(3):
            status, nonce = ask(centre, "/v1/nonce", source=source)
            assert status == 200
            path = "/v1/feed?since=box:0:0:"
            signed = sign_request(key, box_id=new_id("box"), method="GET", path=path, nonce=nonce, body=b"")
            # Its nonce was good; that nobody knows this box is another matter.
            assert ask(centre, path, source=source, headers=signed) == (401, "signature.invalid")


def test_each_front_door_has_its_listeners_and_no_others(centre: Engines) -> None:
    box, portal = centre.config.box_port, centre.config.portal_port
    assert ask(centre, "/healthz", port=portal)[0] == 200
    assert ask(centre, "/healthz", port=box)[0] == 404
    centre.kill(FRONTS[0])
    for _ in range(8):  # the kernel deals them to the one that is left
        assert ask(centre, "/v1/nonce")[0] == 200
    centre.kill(FRONTS[1])
    with pytest.raises(OSError, match="refused"):
        ask(centre, "/v1/nonce")
    assert ask(centre, "/healthz", port=portal)[0] == 200
    centre.start(*FRONTS)
    assert ask(centre, "/v1/nonce")[0] == 200


def test_a_box_asks_for_a_token_on_its_own_listener_alone(centre: Engines) -> None:
    malformed = ask(centre, "/v1/mail-token", method="POST")
    assert malformed == (400, "message.malformed"), "web answers, and stream has no such address"
    assert ask(centre, "/v1/mail-token", method="POST", port=centre.config.portal_port)[0] == 404


def test_a_relay_that_died_is_a_short_refusal_for_its_boxes_and_nothing_for_others(centre: Engines) -> None:
    centre.kill("relay-1")
    (centre.config.run / "relay-1.sock").unlink(missing_ok=True)
    answers = {source: ask(centre, "/v1/nonce", source=source)[0] for source in SOURCES}
    assert set(answers.values()) == {200, 503}
    centre.start("relay-1")
    until(lambda: {ask(centre, "/v1/nonce", source=s)[0] for s in SOURCES} == {200}, "all again")


def test_nobody_speaks_as_a_relay_through_the_front_door(centre: Engines) -> None:
    token = centre.config.secret("door.token").decode()
    spoken = {"X-Beffroi-Door": uplink.DOOR, "X-Beffroi-Token": token}
    for port in (centre.config.box_port, centre.config.portal_port, centre.config.console_port):
        assert ask(centre, uplink.PATH, port=port, method="POST", headers=spoken)[0] == 404
