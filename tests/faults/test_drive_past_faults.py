"""A long way back whose process is killed goes on where it was, and ends as if nothing had happened."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from beffroi.drive.store import going_back, schema, tree
from beffroi.drive.store.commune import Communes
from beffroi.drive.store.database import Database
from beffroi.drive.store.going_back import Going
from beffroi.drive.store.writing import Writing
from beffroi.lib import clock, ids
from beffroi.lib.config import Config

from tests import waiting
from tests.drive_trees import ME, NOW_S, at, content, listing, require_whole, way_to
from tests.fixtures_drive import new_config
from tests.waiting import PATIENCE_S

FILES = 3000
BEGUN_S = clock.epoch_s() - 3600
"""The process has the time of the machine, and forgets changes of long ago."""
pytestmark = pytest.mark.slow


@contextmanager
def keeper(state: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The process drive-keeper; killed at the end."""
    with (state / "keeper.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "beffroi.drive.keeper"],
            env={
                **os.environ,
                "BEFFROI_STATE": str(state),
                "DJANGO_SETTINGS_MODULE": "beffroi.settings.worker",
            },
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait(PATIENCE_S)


def let_in(config: Config, person_id: str, collectivite_id: str) -> None:
    """What the process asks of the centre's database: who may write there."""
    path = config.state / "db" / "beffroi.sqlite"
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE person (id TEXT, is_active BOOL)")
        database.execute(
            "CREATE TABLE membership"
            " (id TEXT, person_id TEXT, collectivite_id TEXT, role TEXT, since TEXT, until TEXT)"
        )
        database.execute("INSERT INTO person VALUES (?, 1)", (person_id,))
        database.execute(
            "INSERT INTO membership VALUES ('mem_1', ?, ?, 'agent', '2020-01-01', NULL)",
            (person_id, collectivite_id),
        )


def has_ended(process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, "see keeper.log"
    return False


def row(database: Database, folder: int) -> Going:
    with database.reading() as reading:
        found = going_back.find(reading, folder)
    assert found is not None
    return found


def filled(writing: Writing) -> int:
    """A folder of which all files were deleted later."""
    root = tree.make_root(writing, schema.COMMON, now_s=NOW_S)
    folder = tree.make_folder(writing, ME, root.id, "budget")
    made = [tree.put(writing, ME, folder.id, f"{n:04d}", content(b"x"))[0] for n in range(FILES)]
    for one in made:
        tree.delete(writing, at(BEGUN_S + 20), one.id)
    return folder.id


@pytest.fixture
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Short: a Unix socket's path has 107 bytes at most."""
    return tmp_path_factory.mktemp("k")


def test_a_killed_keeper_goes_on_where_it_was(state: Path) -> None:
    config, owner = new_config(state), ids.new_id("col")
    with ThreadPoolExecutor(2) as pool:
        communes = Communes(config.state / "drive", pool)
        database = communes.metadata(owner)
        let_in(config, ME.person_id, owner)
        folder = database.write(filled)
        with database.reading() as reading:
            plan = way_to(reading, folder, BEGUN_S + 10)
        going_back.begin(database, at(BEGUN_S + 30), plan)
        with keeper(config.state) as process:
            waiting.until(lambda: row(database, folder).done > 0 or has_ended(process), "the first portion")
        half = row(database, folder)
        assert (half.state, half.total) == ("going", FILES) and 0 < half.done < FILES
        with keeper(config.state) as process:
            waiting.until(lambda: row(database, folder).state == "done" or has_ended(process), "all of it")
        over = row(database, folder)
        assert (over.done, over.missed) == (FILES, 0)
        assert len(listing(database, folder)) == FILES
        with database.reading() as reading:
            require_whole(reading)
        communes.close()
