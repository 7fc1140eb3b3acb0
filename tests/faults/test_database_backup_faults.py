"""Backups and restores of the database that are cut, at any moment: it is as before or as then, and both are whole."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from beffroi.mail.backup import told
from beffroi.mail.backup.database.keeping import DatabaseFailed, Databases

from tests.database_place import ROOT, SERVER, Machine, machine, own_database, plant

pytestmark = pytest.mark.slow
CUTS = 8
DO = """
import sys
from pathlib import Path
from beffroi.lib.config import load
from beffroi.mail.backup.database.keeping import Databases
getattr(Databases(load(Path(sys.argv[1]))), sys.argv[2])()
"""


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Machine]:
    with own_database() as url:
        made = machine(tmp_path / "state", url=url, place=tmp_path / "place")
        plant(made)
        made.ask("CREATE TABLE number (n INTEGER, text TEXT)")
        for n in range(200):
            made.ask("INSERT INTO number (n, text) VALUES (?, ?)", n, random.Random(n).randbytes(4000).hex())
        yield made


def cut(after_s: float, *words: str) -> None:
    """Kill it, with all that it started; gone when this returns."""
    process = subprocess.Popen(
        (sys.executable, *words), cwd=ROOT, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ,
    )  # fmt: skip
    threading.Event().wait(after_s)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        while (
            True
        ):  # until process 1 has buried the others: restic leaves alone a lock of one that has a number
            os.killpg(process.pid, 0)
            threading.Event().wait(0.05)


def numbers(made: Machine) -> tuple[object, ...]:
    ((count, highest),) = made.ask("SELECT COUNT(*), MAX(n) FROM number")
    return count, highest


def test_a_backup_that_is_killed_harms_neither_database_nor_backups(opened: Machine) -> None:
    rng = random.Random(20261129)
    opened.databases.back_up()
    for n in range(CUTS):
        opened.ask("INSERT INTO number (n, text) VALUES (?, 'x')", 1000 + n)
        cut(rng.uniform(0.3, 3.0), "-c", DO, str(opened.config.state), "back_up")
        opened.databases.back_up()
        assert numbers(opened) == (201 + n, 1000 + n)
    assert opened.databases.check()["rows"] > 200
    assert opened.databases.store.check().whole


def test_a_restore_that_is_killed_leaves_the_database_as_before_or_as_then(opened: Machine) -> None:
    rng = random.Random(20261129)
    opened.databases.back_up()
    opened.ask("INSERT INTO number (n, text) VALUES (1000, 'x')")
    before, then = numbers(opened), (200, 199)
    command = ("-m", "beffroi.cli", "database", "restore", "--yes", "--state", str(opened.config.state))
    for _ in range(CUTS):
        cut(rng.uniform(0.5, 5.0), *command)
        assert numbers(opened) in (before, then)
        plant(opened)  # it starts on either
    opened.said("database", "restore", "--yes")
    assert numbers(opened) == then
    plant(opened)
    opened.databases.back_up()


def test_an_undo_that_is_killed_leaves_one_of_the_two_whole(opened: Machine) -> None:
    rng = random.Random(20261129)
    opened.databases.back_up()
    opened.ask("INSERT INTO number (n, text) VALUES (1000, 'x')")
    before, then = numbers(opened), (200, 199)
    opened.said("database", "restore", "--yes")
    command = (
        "-m",
        "beffroi.cli",
        "database",
        "restore",
        "--undo",
        "--yes",
        "--state",
        str(opened.config.state),
    )
    for _ in range(CUTS // 2):
        cut(rng.uniform(0.5, 4.0), *command)
        assert numbers(opened) in (before, then)
        plant(opened)
    found = numbers(opened)
    opened.said("database", "restore", "--undo", "--yes")
    assert {found, numbers(opened)} == {before, then}


def test_a_drill_that_is_killed_leaves_nothing_that_the_next_one_does_not_take_away(opened: Machine) -> None:
    rng = random.Random(20261129)
    opened.databases.back_up()
    for _ in range(CUTS // 2):
        cut(rng.uniform(0.5, 5.0), "-c", DO, str(opened.config.state), "check")
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
