"""What a box says on the connection on which it follows: over a real socket, as a box in hostile territory says it."""

from __future__ import annotations

import contextlib
import time

import pytest
from beffroi.core.events import outbox
from beffroi.core.planes.db import Database
from beffroi.stream import acks as rules
from beffroi_protocol.messages import MAX_UPLINK_LINE_BYTES, VERSION, Ack, AckBatch, encode
from django.db import transaction

from tests.fixtures_stream import BoxClient, Centre, block, eventually, running_centre  # noqa: F401

A, B = "col_a", "col_b"
SINCE = "box:0:0:"


@pytest.fixture
def box(centre: Centre) -> BoxClient:
    return centre.box(A)


@pytest.fixture
def other(centre: Centre) -> BoxClient:
    return centre.box(B)


def line(version: int, *, channel: str = "box", epoch: int = 1, at_ms: int = 1000) -> bytes:
    return encode(AckBatch(VERSION, (Ack(channel, epoch, version, at_ms),), 3, "0.1.0"))


def stored(plane: Database, box: BoxClient) -> list[tuple[object, ...]]:
    return plane.execute(
        "SELECT channel, epoch, version, enforced_at_ms FROM box_ack WHERE box_id = ? ORDER BY channel",
        (box.id,),
    )


def test_the_newest_acknowledgement_is_kept(box: BoxClient, plane: Database) -> None:
    held = box.follow(SINCE)
    for version, at_ms in ((1, 1000), (3, 3000), (2, 2000), (3, 9000)):
        held.say(line(version, at_ms=at_ms))
        time.sleep(4 * rules.ACK_WINDOW_S)
    eventually(lambda: stored(plane, box) == [("box", 1, 3, 3000)], "stored")
    held.say(line(1, epoch=2))
    eventually(lambda: stored(plane, box) == [("box", 2, 1, 1000)], "a new epoch")
    versions = plane.execute("SELECT policy_version, agent_version FROM box WHERE id = ?", (box.id,))
    assert versions == [(3, "0.1.0")]
    assert held.line(), "the response goes on"


def test_decisions_arrive_while_a_box_speaks(box: BoxClient, plane: Database) -> None:
    held = box.follow(SINCE)
    for number in range(1, 6):
        block(f"185.203.116.{number}")
        while f"185.203.116.{number}".encode() not in held.line():
            pass
        held.say(line(number))
        held.say(line(number, channel=f"box@{A}"))
        eventually(lambda n=number: [row[2] for row in stored(plane, box)] == [n, n], "stored")


def test_a_line_may_come_in_pieces_and_several_at_once(box: BoxClient, plane: Database) -> None:
    held, text = box.follow(SINCE), line(7)
    for piece in (text[:20], text[20:], b"\n" + line(8) + b"\n\n" + line(9) + b"\n"):
        held.send(b"%x\r\n%s\r\n" % (len(piece), piece))
        time.sleep(0.05)
    eventually(lambda: stored(plane, box) == [("box", 1, 9, 1000)], "stored")


UNSOUND = [
    line(1, channel=f"box@{B}"),
    line(1, channel="mail"),
    line(1, channel=""),
    line(2**60),
    line(1, epoch=2**40),
    b"{",
    b"\xff\xfe",
    b"[" * 2000,
    b'{"v":99,"acks":[]}',
    encode(AckBatch(VERSION, (Ack("box", 1, 1, 1),) * (rules.MAX_ACKS + 1))),
    encode(AckBatch(VERSION, (), 2**40)),
    encode(AckBatch(VERSION, (), 1, "x" * 41)),
    encode(AckBatch(VERSION, (), 1, "0.1\0")),
    b" " * (MAX_UPLINK_LINE_BYTES + 1),
]


@pytest.mark.parametrize("bad", UNSOUND, ids=range(len(UNSOUND)))
def test_what_is_unsound_or_anothers_ends_the_connection(
    box: BoxClient, other: BoxClient, plane: Database, bad: bytes
) -> None:
    held, kept = box.follow(SINCE), other.follow(SINCE)
    held.say(bad)
    assert held.ended()
    assert stored(plane, box) == stored(plane, other) == []
    kept.say(line(1))
    eventually(lambda: stored(plane, other) != [], "others do not notice")


def test_a_line_without_end_is_not_read_on(box: BoxClient) -> None:
    held = box.follow(SINCE)
    with pytest.raises(OSError):
        for _ in range(5000):
            held.send(b"400\r\n%s\r\n" % (b" " * 1024))


def test_the_end_of_the_body_ends_the_response(box: BoxClient) -> None:
    held = box.follow(SINCE)
    held.send(b"0\r\n\r\n")
    assert held.ended()


def test_a_revoked_box_is_not_heard_any_more(centre: Centre, box: BoxClient, plane: Database) -> None:
    held = box.follow(SINCE)
    held.line()
    with transaction.atomic():
        centre.set_state(box, "revoked")
        outbox.publish("box:revoked", {"box_id": box.id}, collectivite_id=A)
    assert held.ended()
    with contextlib.suppress(OSError):
        held.say(line(1))
    time.sleep(4 * rules.ACK_WINDOW_S)
    assert stored(plane, box) == []


def test_only_the_newest_connection_of_a_box_is_heard(box: BoxClient, plane: Database) -> None:
    old, new = box.follow(SINCE), box.follow(SINCE)
    assert old.ended()
    new.say(line(2))
    eventually(lambda: stored(plane, box) == [("box", 1, 2, 1000)], "stored")


def test_a_box_asks_with_a_body_and_a_door_without(centre: Centre, box: BoxClient) -> None:
    path = f"/v1/feed?since={SINCE}"
    assert centre.request("GET", path, b"", box.headers("GET", path)).status == 404
    asked = centre.request("POST", "/v1/feed?since=mail:0:0:", b"", centre.door_headers("mailgate"))
    assert asked.status == 404


def test_a_box_that_floods_is_read_slowly_and_others_are_not(
    box: BoxClient, other: BoxClient, plane: Database
) -> None:
    held, quiet = box.follow(SINCE), other.follow(SINCE)
    last = int(rules.LINES_BURST) + 39
    for version in range(last + 1):
        held.say(line(version))
    quiet.say(line(1))
    eventually(lambda: stored(plane, other) != [], "at once")
    assert stored(plane, box)[0][2] != last
    eventually(lambda: stored(plane, box)[0][2] == last, "nothing is lost")


def test_what_the_database_does_not_take_is_kept_and_merged(
    centre: Centre, box: BoxClient, other: BoxClient, plane: Database
) -> None:
    held, second = box.follow(SINCE), other.follow(SINCE)
    held.line()
    plane.execute("ALTER TABLE box_ack RENAME TO box_ack_away")
    try:
        held.say(line(1))
        second.say(line(4))
        eventually(lambda: "acknowledgements not stored" in centre.log(), "a commit failed")
        held.say(line(2))
        held.say(line(5, channel=f"box@{A}"))
        time.sleep(0.2)
    finally:
        plane.execute("ALTER TABLE box_ack_away RENAME TO box_ack")
    eventually(lambda: [row[2] for row in stored(plane, box)] == [2, 5], "kept")
    assert [row[2] for row in stored(plane, other)] == [4]
