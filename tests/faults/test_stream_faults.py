"""Stream is killed, restored, asked by the slow: doors keep their list and catch up."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path

from beffroi.core.decisions.actions import revoke
from beffroi.core.identity.actor import Actor
from beffroi.core.planes.db import Database
from beffroi_protocol.indicators import normalise
from django.db import transaction

from tests.fixtures_stream import Centre, block, eventually, read_until, running_centre  # noqa: F401


def test_killed_stream_leaves_doors_their_list_and_they_catch_up(centre: Centre, tmp_path: Path) -> None:
    door = centre.door("login", "login", tmp_path)
    door.start()
    first = block("185.203.116.1")
    eventually(lambda: door.match_address("185.203.116.1"), "first")
    centre.stop(signal.SIGKILL)
    eventually(lambda: not door.connected, "cut")
    block("185.203.116.2")
    revoke(actor=Actor.system("tests"), decision=first, reason="tests")
    assert door.match_address("185.203.116.1")
    centre.start()
    eventually(lambda: door.match_address("185.203.116.2"), "caught up")
    eventually(lambda: door.match_address("185.203.116.1") is None, "revoked meanwhile")
    assert centre.health()["epoch"] == 1
    door.stop()


def test_door_that_starts_without_stream_enforces_its_saved_list(centre: Centre, tmp_path: Path) -> None:
    door = centre.door("login", "login", tmp_path)
    door.start()
    block("185.203.116.1")
    eventually(lambda: door.match_address("185.203.116.1"), "blocked")
    door.stop()
    centre.stop()
    again = centre.door("login", "login", tmp_path)
    again.start()
    assert again.match_address("185.203.116.1")
    again.stop()


def test_damaged_state_of_a_door_costs_one_snapshot(centre: Centre, tmp_path: Path) -> None:
    block("185.203.116.1")
    (tmp_path / "login.state").write_bytes(b"0" * 64 + b"\n{}")
    door = centre.door("login", "login", tmp_path)
    door.start()
    eventually(lambda: door.match_address("185.203.116.1"), "blocked")
    door.stop()


def test_stream_ends_cleanly_with_held_connections(centre: Centre) -> None:
    held = centre.hold("/v1/feed?since=mail:0:0:", centre.door_headers("mailgate"))
    browser = centre.live("col_a")
    assert centre.stop() == 0
    assert held.ended()
    assert browser.ended()


def test_reader_that_does_not_read_is_cut_and_others_go_on(centre: Centre) -> None:
    slow = centre.hold("/v1/feed?since=mail:0:0:", centre.door_headers("mailgate"))
    session = centre.session("mail")
    quick = centre.hold(f"/v1/feed?since={session.since()}", centre.door_headers("mailgate"))
    stopped = threading.Event()

    def read() -> None:
        while not stopped.is_set():
            try:
                session.receive(quick.line(), monotonic=time.monotonic())
            except (OSError, ValueError, AttributeError):
                return  # closed by the test

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    # More than sockets and queue hold: some megabytes of long addresses.
    batches = 0
    while centre.health()["followers"] == 2:
        with transaction.atomic():
            for number in range(100):
                block(f"https://leurre-{batches}-{number}.com/{'a' * 1900}", "url")
        batches += 1
        assert batches < 60, "never cut"
    last = normalise("url", f"https://leurre-{batches - 1}-99.com/{'a' * 1900}")
    eventually(lambda: session.tables["mail"].match(last, now=session.clock.floor), "the quick one has all")
    stopped.set()
    slow.close()


def test_database_restored_from_a_backup_gives_boxes_a_new_epoch(centre: Centre, plane: Database) -> None:
    box = centre.box("col_a")
    session = centre.session("box")
    block("185.203.116.1")
    held = box.follow(session.since())
    read_until(held, session, lambda: len(session.tables["box"]) == 1)
    block("185.203.116.2")
    read_until(held, session, lambda: len(session.tables["box"]) == 2)
    centre.stop()
    # The backup knew the first decision only.
    plane.execute("DELETE FROM feed_batch WHERE to_version > 1")
    lines = plane.execute("SELECT channel, line FROM feed_batch")
    assert lines
    plane.execute("UPDATE feed_channel SET version = 1")
    plane.execute("DELETE FROM outbox WHERE payload LIKE '%185.203.116.2%'")
    plane.execute("DELETE FROM decision WHERE value = '185.203.116.2'")
    centre.start()
    assert centre.health()["epoch"] == 2
    held = box.follow(session.since())
    read_until(held, session, lambda: session.tables["box"].epoch == 2)
    assert [e.indicator.value for e in session.tables["box"]] == ["185.203.116.1"]
    block("185.203.116.3")
    read_until(held, session, lambda: len(session.tables["box"]) == 2)
