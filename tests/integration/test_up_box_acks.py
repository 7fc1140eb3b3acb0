"""Acknowledgements of the agent's own client through the real front door: HAProxy, granian, TLS."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from beffroi.core.planes.db import Database, connect
from beffroi.lib import clock
from beffroi.lib.ids import new_id
from beffroi_box.client import Centre, SignedSession
from beffroi_box.config import BoxConfig
from beffroi_box.errors import CentreUnreachable
from beffroi_protocol.messages import MAX_UPLINK_LINE_BYTES, VERSION, Ack, AckBatch, encode
from beffroi_protocol.signing import b64, public_bytes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests import front_planes
from tests.mail_post import Engines
from tests.waiting import PATIENCE_S, until

pytestmark = [pytest.mark.root, pytest.mark.slow]

FEED = "/v1/feed?since=box:0:0:"


@pytest.fixture(scope="module")
def centre() -> Iterator[Engines]:
    with front_planes.running("bfa-", 23140, {"heartbeat_s": 1}, "web", "console", "front") as engines:
        yield engines


@pytest.fixture
def database(centre: Engines) -> Iterator[Database]:
    database = connect(centre.config.database)
    yield database
    database.close()


@pytest.fixture
def session(centre: Engines, database: Database) -> Iterator[SignedSession]:
    key, box_id = Ed25519PrivateKey.generate(), new_id("box")
    database.execute(
        "INSERT INTO box (id, collectivite_id, serial, public_key, fingerprint, state, agent_version,"
        " created_at, confirmed_by, policy_version, rolled_back_version, replaces)"
        " VALUES (?, 'col_a', ?, ?, ?, 'active', '', ?, '', 0, 0, '')",
        (box_id, box_id[-8:], b64(public_bytes(key)), box_id, clock.now()),
    )
    config = BoxConfig(
        state=centre.config.state,
        centre=f"https://localhost:{centre.config.box_port}",
        centre_addresses=("127.0.0.1",),
        ca=str(centre.config.state / "tls" / "ca.pem"),
    )
    session = SignedSession(Centre(config), lambda: box_id, key)
    yield session
    session.close()


def line(version: int) -> bytes:
    return encode(AckBatch(VERSION, (Ack("box", 1, version, 1000),), 1, "0.1.0"))


def stored(database: Database) -> int:
    rows = database.execute("SELECT MAX(version) FROM box_ack")
    return int(rows[0][0] or 0)


def test_one_thread_reads_while_others_speak(session: SignedSession, database: Database) -> None:
    response = session.open_feed(FEED, read_timeout_s=10)
    ended = threading.Event()
    read: list[bytes] = []

    def reader() -> None:
        while not ended.is_set():
            read.append(response.readline())

    speakers = [
        threading.Thread(target=lambda n=n: [session.say(line(100 * n + i)) for i in range(50)])
        for n in range(4)
    ]
    reading = threading.Thread(target=reader)
    reading.start()
    for speaker in speakers:
        speaker.start()
    for speaker in speakers:
        speaker.join()
    until(lambda: stored(database) == 349, "all were read")
    until(lambda: len(read) > 4, "heartbeats came meanwhile")
    ended.set()
    reading.join(PATIENCE_S)
    assert all(one.endswith(b"\n") for one in read)


def test_a_body_that_is_silent_longer_than_a_request_may_take_stays_open(
    session: SignedSession, database: Database
) -> None:
    response = session.open_feed(FEED, read_timeout_s=10)
    until_s = time.monotonic() + 13  # timeout http-request: 10 s
    while time.monotonic() < until_s:
        assert response.readline()
    session.say(b"")
    session.say(line(1000))
    until(lambda: stored(database) == 1000, "heard")


def test_a_line_that_is_too_long_ends_the_connection_for_both(session: SignedSession) -> None:
    response = session.open_feed(FEED, read_timeout_s=10)
    session.say(b" " * (MAX_UPLINK_LINE_BYTES + 1))
    while response.readline():
        pass
    session.close()
    with pytest.raises(CentreUnreachable):
        session.say(b"")


def test_a_restarted_stream_is_told_again_on_the_next_connection(
    centre: Engines, session: SignedSession, database: Database
) -> None:
    response = session.open_feed(FEED, read_timeout_s=10)
    assert response.readline()
    centre.kill("stream")
    with pytest.raises(Exception):  # noqa: B017 - the end, or a cut chunk
        while response.readline():
            pass
        raise EOFError
    session.close()
    centre.start("stream")
    until(lambda: _opened(session), "follows again")
    session.say(line(2000))
    until(lambda: stored(database) == 2000, "heard")


def _opened(session: SignedSession) -> bool:
    try:
        session.open_feed(FEED, read_timeout_s=10)
    except Exception:  # noqa: BLE001 - not yet
        session.close()
        return False
    return True
