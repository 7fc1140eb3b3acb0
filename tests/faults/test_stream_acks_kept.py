"""Acknowledgements while the database can take none: its disk really is full, or another process holds its lock."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from beffroi.core.planes.db import Database, connect
from beffroi.lib.config import Config, load
from beffroi_protocol.messages import VERSION, Ack, AckBatch, encode

from tests.fixtures_stream import Centre, Held, eventually, make_state, running_centre, write_keys  # noqa: F401
from tests.waiting import PATIENCE_S

SINCE = "box:0:0:"
DISK_BYTES = 8 * 1024 * 1024
HOLDER = """
import sys
from beffroi.core.planes.db import connect
database = connect(sys.argv[1])
with database.transaction():
    if database.backend == "postgresql":
        database.execute("LOCK TABLE box_ack IN EXCLUSIVE MODE")
    print("held", flush=True)
    sys.stdin.read()
"""


def line(version: int) -> bytes:
    return encode(AckBatch(VERSION, (Ack("box", 1, version, 1000),), 3, "0.1.0"))


def stored(database: Database, box_id: str) -> int:
    rows = database.execute("SELECT MAX(version) FROM box_ack WHERE box_id = ?", (box_id,))
    return int(rows[0][0] or 0)


def goes_on(held: Held) -> None:
    for _ in range(3):
        assert held.line(), "the response goes on"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of some megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(
        ("mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "beffroi-tests", str(place)), check=True
    )
    yield place
    subprocess.run(("umount", "--lazy", str(place)), check=True)


@pytest.fixture
def on_small_disk(plane: Database, small_disk: Path, config: Config) -> Iterator[Centre]:
    """A stream whose database, and nothing else, is to be on that disk; it does not run yet."""
    if plane.backend != "sqlite":
        pytest.skip("the disk of PostgreSQL is not the centre's")
    state = make_state(f"sqlite:///{small_disk}/beffroi.sqlite", config.run / "wake", heartbeat_s=1)
    root, feed = write_keys(state / "secrets")
    centre = Centre(load(state), root, feed, plane)
    yield centre
    centre.end()
    shutil.rmtree(state, ignore_errors=True)


def fill(disk: Path) -> Path:
    """Leave no byte."""
    path = disk / "filler"
    with path.open("wb", buffering=0) as file:
        for size in (65536, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError as error:
                assert error.errno == errno.ENOSPC
    return path


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small disk")
def test_a_full_disk_keeps_what_boxes_say_until_there_is_room(
    on_small_disk: Centre, plane: Database, small_disk: Path
) -> None:
    centre = on_small_disk
    box, other, late = (centre.box(one) for one in ("col_a", "col_b", "col_c"))
    plane.execute("VACUUM INTO ?", (str(small_disk / "beffroi.sqlite"),))
    centre.start()
    database = connect(f"sqlite:///{small_disk}/beffroi.sqlite")
    held, second = box.follow(SINCE), other.follow(SINCE)
    held.say(line(1))
    eventually(lambda: stored(database, box.id) == 1, "as long as there is room")
    filler = fill(small_disk)
    # The log of SQLite may have room left over; where it ends the disk is full.
    version = 1
    while "acknowledgements not stored" not in centre.log():
        version += 1
        held.say(line(version))
        time.sleep(0.05)
        assert version < 500
    second.say(line(7))
    held.say(line(version + 1))
    goes_on(held)
    goes_on(second)
    goes_on(late.follow(SINCE))
    assert stored(database, other.id) == 0
    filler.unlink()
    eventually(lambda: stored(database, box.id) == version + 1, "kept")
    eventually(lambda: stored(database, other.id) == 7, "of the other too")
    held.say(line(version + 2))
    eventually(lambda: stored(database, box.id) == version + 2, "as before")
    database.close()


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small disk")
def test_a_stream_that_ends_on_a_full_disk_ends_as_it_should(
    on_small_disk: Centre, plane: Database, small_disk: Path
) -> None:
    centre = on_small_disk
    box = centre.box("col_a")
    plane.execute("VACUUM INTO ?", (str(small_disk / "beffroi.sqlite"),))
    centre.start()
    held = box.follow(SINCE)
    held.line()
    fill(small_disk)
    version = 0
    while "acknowledgements not stored" not in centre.log():
        version += 1
        held.say(line(version))
        time.sleep(0.05)
        assert version < 500
    assert centre.stop() == 0
    assert held.ended()
    assert "Traceback" not in centre.log()


@pytest.mark.slow
def test_a_lock_that_another_process_holds_delays_what_boxes_say_and_nothing_else(
    centre: Centre, committed: str, plane: Database
) -> None:
    box, other, late = (centre.box(one) for one in ("col_a", "col_b", "col_c"))
    held, second = box.follow(SINCE), other.follow(SINCE)
    holder = subprocess.Popen(
        (sys.executable, "-c", HOLDER, committed), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdin is not None and holder.stdout is not None
    try:
        assert holder.stdout.readline() == b"held\n"
        held.say(line(1))
        second.say(line(4))
        if plane.backend == "sqlite":  # PostgreSQL waits as long as it takes
            eventually(lambda: "acknowledgements not stored" in centre.log(), "the lock was not to be had")
            goes_on(late.follow(SINCE))
        held.say(line(2))
        goes_on(held)
        goes_on(second)
        assert stored(plane, box.id) == stored(plane, other.id) == 0
    finally:
        holder.stdin.close()
        holder.wait(PATIENCE_S)
    eventually(lambda: stored(plane, box.id) == 2, "kept")
    eventually(lambda: stored(plane, other.id) == 4, "of the other too")
