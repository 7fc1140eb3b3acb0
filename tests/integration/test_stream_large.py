"""A channel of 200,000 decisions: its snapshot is a file; restarts, new followers, deltas after it."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from beffroi.core.decisions.actions import revoke
from beffroi.core.identity.actor import Actor
from beffroi.core.planes.follower import Follower
from beffroi.lib import clock
from beffroi_protocol.messages import MAX_MESSAGE_BYTES, SnapshotFile, decode_feed
from beffroi_protocol.signing import split_line

from tests.fixtures_stream import Centre, block, running_centre  # noqa: F401
from tests.waiting import until

COUNT = 200_000


def address(number: int) -> str:
    return f"45.{155 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"


def tell_of_many(centre: Centre) -> None:
    """As many events as a great wave of decisions would publish."""
    now, ends = clock.now(), clock.epoch_s() + 86400
    rows = [
        (
            json.dumps(
                {
                    "decision_id": f"dec_{n:026d}", "kind": "ip", "value": address(n), "action": "block",
                    "scope": "all", "reason": "two_communes", "expires_at": ends,
                }
            ),
            now,
        )
        for n in range(COUNT)
    ]  # fmt: skip
    with centre.plane.transaction():
        centre.plane.executemany(
            "INSERT INTO outbox (kind, collectivite_id, payload, created_at)"
            " VALUES ('decision:activated', NULL, ?, ?)",
            rows,
        )


def held(door: Follower) -> int:
    with door.tables() as tables:
        return len(tables["login"])


def first_lines(centre: Centre) -> list[bytes]:
    """What a newcomer is sent before the heartbeat."""
    answer = centre.hold("/v1/feed?since=login:0:0:", centre.door_headers("login"))
    lines = [answer.line(), answer.line()]
    answer.close()
    return lines


def test_a_channel_of_200_000_survives_restarts_and_serves_newcomers(centre: Centre, tmp_path: Path) -> None:
    tell_of_many(centre)
    until(lambda: centre.health()["events_behind"] == 0, "published")
    assert centre.health()["epoch"] == 1
    announcement = first_lines(centre)[1]
    message = decode_feed(split_line(announcement)[2])
    assert isinstance(message, SnapshotFile)
    assert message.size_bytes > MAX_MESSAGE_BYTES
    doors = [centre.door("login", "login", tmp_path / "first")]
    doors[0].start()
    try:
        until(lambda: held(doors[0]) == COUNT, "a new follower has all")
        assert doors[0].match_address(address(COUNT - 1)) is not None
        decision = block("185.203.116.1")
        until(lambda: doors[0].match_address("185.203.116.1"), "a delta after the file")
        centre.stop()
        centre.start()
        assert centre.health()["epoch"] == 1
        other = block("185.203.116.2")
        until(lambda: doors[0].match_address("185.203.116.2"), "a delta after the restart")
        doors.append(centre.door("login", "login", tmp_path / "second"))
        doors[1].start()
        until(lambda: held(doors[1]) == COUNT + 2, "a new follower after the restart")
        revoke(actor=Actor.system("tests"), decision=decision, reason="tests")
        for door in doors:
            until(lambda door=door: held(door) == COUNT + 1, "a removal")
            assert door.match_address(other.value) is not None
        assert doors[0].versions() == doors[1].versions()
        doors.append(centre.door("login", "login", tmp_path / "third"))
        doors[2].start()
        until(lambda: doors[2].connected, "fetching")
        centre.stop(signal.SIGKILL)
        centre.start()
        assert centre.health()["epoch"] == 1
        until(lambda: held(doors[2]) == COUNT + 1, "a follower whose file was cut off")
        assert "refused" not in centre.log()
    finally:
        for door in doors:
            door.stop()
    saved = centre.door("login", "login", tmp_path / "second")
    assert held(saved) == COUNT + 1
