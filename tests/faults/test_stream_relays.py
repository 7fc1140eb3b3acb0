"""Several stream processes: a publisher, relays that hold the boxes, and what happens when one of them dies."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from beffroi.core.events import outbox
from beffroi.core.planes.db import Database
from beffroi.lib.config import Config, load
from beffroi.stream import uplink
from beffroi_protocol.messages import VERSION, Ack, AckBatch, encode
from django.db import transaction

from tests.fixtures_stream import (
    BoxClient,
    Centre,
    Held,
    block,
    eventually,
    make_state,
    read_until,
    write_keys,
)


@dataclass
class Fleet:
    """A publisher and two relays on one state directory."""

    publisher: Centre
    relays: tuple[Centre, Centre]

    def boxes(self) -> list[BoxClient]:
        """One box behind each relay, each of a commune of its own."""
        made = [self.publisher.box(f"col_{relay.name}") for relay in self.relays]
        return [replace(box, centre=relay) for box, relay in zip(made, self.relays, strict=True)]


@pytest.fixture(name="fleet")
def running_fleet(committed: str, plane: Database, config: Config) -> Iterator[Fleet]:
    state = make_state(committed, config.run / "wake", heartbeat_s=1, stream_relays=2)
    root, feed = write_keys(state / "secrets")
    processes = [
        Centre(load(state), root, feed, plane, name=name) for name in ("stream", "relay-1", "relay-2")
    ]
    for one in processes:
        one.start()
    yield Fleet(processes[0], (processes[1], processes[2]))
    for one in processes:
        one.end()
    shutil.rmtree(state, ignore_errors=True)


def revoke(box: BoxClient) -> None:
    box.centre.set_state(box, "revoked")
    with transaction.atomic():
        outbox.publish("box:revoked", {"box_id": box.id}, collectivite_id=box.collectivite_id)


def test_boxes_behind_relays_follow_what_is_for_all_and_for_them(fleet: Fleet) -> None:
    block("185.203.116.1")
    for box in fleet.boxes():
        own = f"box@{box.collectivite_id}"
        session = fleet.publisher.session("box", own)
        held = box.follow(session.since())
        read_until(held, session, lambda table=session.tables["box"]: len(table) >= 1)
        before = len(session.tables["box"])
        block(f"185.203.117.{before}")
        block(f"185.203.118.{before}", scope=box.collectivite_id)
        block(f"185.203.119.{before}", scope="col_other")
        tables = session.tables
        read_until(held, session, lambda t=tables, n=before: len(t["box"]) == n + 1)
        read_until(held, session, lambda t=tables[own]: len(t) == 1)
        assert box.ask("box@col_other:0:0:").status == 404
        assert box.ask("mail:0:0:").status == 404


def test_the_same_signed_bytes_reach_every_relay(fleet: Fleet) -> None:
    held = [box.follow("box:0:0:") for box in fleet.boxes()]
    for one in held:
        while b'"to_version":0' not in one.line():
            pass
    block("185.203.116.1")

    def batch(one: Held) -> bytes:
        while b"185.203.116.1" not in (line := one.line()):
            assert line
        return line

    first, second = (batch(one) for one in held)
    assert first == second


def test_revocation_ends_the_response_in_every_relay_and_bars_the_way_back(fleet: Fleet) -> None:
    for box in fleet.boxes():
        held = box.follow("box:0:0:")
        assert held.line()
        revoke(box)
        assert held.ended()
        assert box.ask("box:0:0:").code == "box.revoked"


def test_relays_hold_their_boxes_while_the_publisher_is_away(fleet: Fleet) -> None:
    box = fleet.boxes()[0]
    session = fleet.publisher.session("box")
    held = box.follow(session.since())
    read_until(held, session, lambda: session.tables["box"].epoch == 1)
    fleet.publisher.stop(signal.SIGKILL)
    block("185.203.116.1")
    floor = session.clock.floor
    read_until(held, session, lambda: session.clock.floor > floor)
    assert len(session.tables["box"]) == 0
    revoke(other := fleet.boxes()[1])
    assert other.ask("box:0:0:").code == "box.revoked"
    fleet.publisher.start()
    read_until(held, session, lambda: len(session.tables["box"]) == 1)
    assert fleet.publisher.health()["epoch"] == 1


def test_a_relay_that_takes_boxes_and_answers_none_holds_up_no_other_ones(fleet: Fleet) -> None:
    stuck, other = fleet.boxes()
    session, second = fleet.publisher.session("box"), fleet.publisher.session("box")
    held, free = stuck.follow(session.since()), other.follow(second.since())
    read_until(held, session, lambda: session.tables["box"].epoch == 1)
    fleet.relays[0].send(signal.SIGSTOP)
    for number in range(30):
        block(f"185.203.116.{number}")
    read_until(free, second, lambda: len(second.tables["box"]) == 30)
    assert len(session.tables["box"]) == 0
    fleet.relays[0].send(signal.SIGCONT)
    read_until(held, session, lambda: len(session.tables["box"]) == 30)


def test_killed_relay_loses_no_acknowledgement_and_its_boxes_catch_up(fleet: Fleet, plane: Database) -> None:
    box, other = fleet.boxes()

    def enforced() -> list[tuple[object, ...]]:
        return plane.execute("SELECT version FROM box_ack WHERE box_id = ?", (box.id,))

    session, second = fleet.publisher.session("box"), fleet.publisher.session("box")
    held, untouched = box.follow(session.since()), other.follow(second.since())
    block("185.203.116.1")
    read_until(held, session, lambda: len(session.tables["box"]) == 1)
    held.say(encode(AckBatch(VERSION, (Ack("box", 1, 1, 1000),), 1, "0.1.0")))
    eventually(lambda: enforced() == [(1,)], "stored")
    fleet.relays[0].stop(signal.SIGKILL)
    block("185.203.116.2")
    read_until(untouched, second, lambda: len(second.tables["box"]) == 2)
    fleet.relays[0].start()
    held = box.follow(session.since())
    read_until(held, session, lambda: len(session.tables["box"]) == 2)
    held.say(encode(AckBatch(VERSION, (Ack("box", 1, 2, 1),), 1, "0.1.0")))
    eventually(lambda: enforced() == [(2,)], "stored")


def test_new_epoch_reaches_the_boxes_of_relays(fleet: Fleet, plane: Database) -> None:
    box = fleet.boxes()[0]
    session = fleet.publisher.session("box")
    held = box.follow(session.since())
    block("185.203.116.1")
    block("185.203.116.2")
    read_until(held, session, lambda: len(session.tables["box"]) == 2)
    fleet.publisher.stop()
    plane.execute("DELETE FROM feed_batch")
    fleet.publisher.start()
    assert fleet.publisher.health()["epoch"] == 2
    assert held.ended()
    held = box.follow(session.since())
    read_until(held, session, lambda: session.tables["box"].epoch == 2)
    assert len(session.tables["box"]) == 2
    block("185.203.116.3")
    read_until(held, session, lambda: len(session.tables["box"]) == 3)


def test_relay_that_starts_before_the_publisher_waits_for_its_epoch(fleet: Fleet, plane: Database) -> None:
    box = fleet.boxes()[0]
    block("185.203.116.1")
    eventually(lambda: fleet.publisher.health()["versions"] != {}, "published")
    for one in (fleet.publisher, *fleet.relays):
        one.stop()
    plane.execute("DELETE FROM feed_batch")
    fleet.relays[0].launch()
    fleet.publisher.start()
    fleet.relays[0].wait()
    session = fleet.publisher.session("box")
    held = box.follow(session.since())
    read_until(held, session, lambda: len(session.tables["box"]) == 1)
    assert session.tables["box"].epoch == fleet.publisher.health()["epoch"] == 2


def test_claims_of_boxes_behind_relays_are_weighed_together(fleet: Fleet) -> None:
    first, second = fleet.boxes()
    block("185.203.116.1")
    first.follow("box:1:900:beef")
    assert fleet.publisher.health()["epoch"] == 1
    second.follow("box:1:900:beef")
    eventually(lambda: fleet.publisher.health()["epoch"] == 2, "two communes are believed")


def test_console_sees_acknowledgements_that_relays_took(fleet: Fleet) -> None:
    console = fleet.publisher.live(None)
    box = fleet.boxes()[0]
    box.follow("box:0:0:").say(encode(AckBatch(VERSION, (Ack("box", 1, 1, 1),), 1, "0.1.0")))
    while b"box:enforced" not in (line := console.line()):
        pass
    assert box.id.encode() in line


def test_publisher_counts_the_boxes_of_its_relays(fleet: Fleet) -> None:
    for box in fleet.boxes():
        box.follow("box:0:0:")
    eventually(lambda: fleet.publisher.health()["relayed"] == 2, "counted")


def test_a_nonce_counts_only_where_it_was_given(fleet: Fleet) -> None:
    box = fleet.boxes()[0]
    headers = box.headers("POST", "/v1/feed?since=box:0:0:", nonce=fleet.relays[1].nonce())
    refused = fleet.relays[0].request("POST", "/v1/feed?since=box:0:0:", b"", headers)
    assert (refused.status, refused.code) == (401, "request.nonce_refused")


def test_relay_serves_boxes_only(fleet: Fleet) -> None:
    relay = fleet.relays[0]
    for door, channel in (("mailgate", "mail"), ("login", "login")):
        path = f"/v1/feed?since={channel}:0:0:"
        assert relay.request("GET", path, b"", relay.door_headers(door)).status == 404
    assert relay.request("GET", "/live", b"", relay.grant("col_a")).status == 404


def test_nobody_but_a_relay_tells_the_publisher(fleet: Fleet) -> None:
    box = fleet.boxes()[0]
    body = b'{"relay":"relay-9","followers":9000,"enforced":[["box_1","col_other","box",1]]}'
    token = fleet.publisher.door_headers(uplink.DOOR)
    through_the_front = {**token, "X-Beffroi-Listener": "box"}
    as_a_door = fleet.publisher.door_headers("mailgate")
    wrong = {**token, "X-Beffroi-Token": "0" * 64}
    signed = box.headers("POST", uplink.PATH, body, nonce=fleet.publisher.nonce())
    for headers in ({}, through_the_front, as_a_door, wrong, signed):
        assert fleet.publisher.request("POST", uplink.PATH, body, headers).status == 404
    assert fleet.publisher.request("POST", uplink.PATH, b"{", token).status == 404
    assert fleet.publisher.request("POST", uplink.PATH, body, token).status == 200
