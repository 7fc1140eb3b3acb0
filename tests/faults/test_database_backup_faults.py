"""Backups and restores of the database that are cut, at any moment: it is as before or as then, and both are whole."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from beffroi.core.planes.db import connect
from beffroi.mail.backup import told
from beffroi.mail.backup.database.keeping import DatabaseFailed, Databases

from tests.database_place import ROOT, SERVER, Machine, machine, own_database, plant

pytestmark = pytest.mark.slow
CUTS = 4
BEGIN = """
import sys
from pathlib import Path
from beffroi.cli import database
from beffroi.cli.__main__ import main
from beffroi.lib.config import load
from beffroi.mail.backup.database.keeping import Databases
print(flush=True)
"""
DO = f"{BEGIN}\ngetattr(Databases(load(Path(sys.argv[1]))), sys.argv[2])()"
RESTORE = f"{BEGIN}\nmain(('database', 'restore', '--yes', '--state', *sys.argv[1:]))"


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with own_database() as url:
        made = machine(tmp_path_factory.mktemp("planted") / "state", url=url)
        plant(made)
        made.ask("CREATE TABLE number (n INTEGER, text TEXT)")
        database = connect(made.config.database)
        with database.transaction():
            rows = [(n, random.Random(n).randbytes(4000).hex()) for n in range(200)]
            database.executemany("INSERT INTO number (n, text) VALUES (?, ?)", rows)
        database.close()
        yield made


@pytest.fixture
def opened(tmp_path: Path, planted: Machine) -> Iterator[Machine]:
    with own_database(planted) as url:
        yield machine(tmp_path / "state", url=url, place=tmp_path / "place", like=planted)


def cut(after_s: float, *words: str) -> None:
    """Kill it so long after it began to work, with all that it started; gone when this returns."""
    process = subprocess.Popen(
        (sys.executable, "-c", *words), cwd=ROOT, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=os.environ,
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.readline()  # what it imports takes a busy machine longer than the work
    threading.Event().wait(after_s)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        while True:
            # Until process 1 has buried the others: restic leaves alone a lock of one that has a number.
            os.killpg(process.pid, 0)
            threading.Event().wait(0.05)


def moments(opened: Machine) -> Iterator[float]:
    """To kill at, one in each part of the time that a backup takes on this machine; back one up."""
    began = time.monotonic()
    opened.databases.back_up()
    longest_s, rng = 1.2 * (time.monotonic() - began), random.Random(20261129)
    return (longest_s * (part + rng.random()) / CUTS for part in range(CUTS))


def numbers(made: Machine) -> tuple[object, ...]:
    ((count, highest),) = made.ask("SELECT COUNT(*), MAX(n) FROM number")
    return count, highest


def test_a_backup_that_is_killed_harms_neither_database_nor_backups(opened: Machine) -> None:
    for n, after_s in enumerate(moments(opened)):
        opened.ask("INSERT INTO number (n, text) VALUES (?, 'x')", 1000 + n)
        cut(after_s, DO, str(opened.config.state), "back_up")
        opened.databases.back_up()
        assert numbers(opened) == (201 + n, 1000 + n)
    assert opened.databases.check()["rows"] > 200
    assert opened.databases.store.check().whole


def test_a_restore_that_is_killed_leaves_the_database_as_before_or_as_then(opened: Machine) -> None:
    chosen = moments(opened)
    opened.ask("INSERT INTO number (n, text) VALUES (1000, 'x')")
    before, then = numbers(opened), (200, 199)
    for after_s in chosen:
        cut(after_s, RESTORE, str(opened.config.state))
        assert numbers(opened) in (before, then)
        plant(opened)  # it starts on either
    opened.said("database", "restore", "--yes")
    assert numbers(opened) == then
    plant(opened)
    opened.databases.back_up()


def test_an_undo_that_is_killed_leaves_one_of_the_two_whole(opened: Machine) -> None:
    chosen = moments(opened)
    opened.ask("INSERT INTO number (n, text) VALUES (1000, 'x')")
    before, then = numbers(opened), (200, 199)
    opened.said("database", "restore", "--yes")
    for after_s in chosen:
        cut(after_s, RESTORE, str(opened.config.state), "--undo")
        assert numbers(opened) in (before, then)
        plant(opened)
    found = numbers(opened)
    opened.said("database", "restore", "--undo", "--yes")
    assert {found, numbers(opened)} == {before, then}


def test_a_drill_that_is_killed_leaves_nothing_that_the_next_one_does_not_take_away(opened: Machine) -> None:
    for after_s in moments(opened):
        cut(after_s, DO, str(opened.config.state), "check")
    assert opened.databases.check()["loaded"]
    assert numbers(opened) == (200, 199)
    assert not (opened.config.state / "backup-rows" / "work").exists()
    if SERVER:
        number = opened.ask("SELECT oid::bigint FROM pg_database WHERE datname = current_database()")[0][0]
        assert opened.ask("SELECT 1 FROM pg_database WHERE datname = ?", f"beffroi_drill_{number}") == []


def test_a_database_that_cannot_be_read_is_told_and_the_backups_stay(
    opened: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened.databases.back_up()
    monkeypatch.setattr(
        Databases,
        "_run",
        lambda *_: (_ for _ in ()).throw(DatabaseFailed("The database could not be copied")),
    )
    with pytest.raises(DatabaseFailed):
        opened.databases.back_up()
    backed_up_at = told.changed(opened.config, since=1).database.backup_at
    assert "could not be copied" in told.database_problem(opened.config, now=backed_up_at + 60)
    said = told.database_problem(opened.config, now=backed_up_at + 30 * 3600)
    assert "not backed up for 30 hours" in said and "./beffroi database backup now" in said
    assert len(opened.databases.store.snapshots()) == 1
