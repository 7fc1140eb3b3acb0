"""The runbook of a lost machine, command by command: an empty state, the place of backups, the key, the database."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from beffroi.drive.backup import drills
from beffroi.drive.backup.drills import Drill
from beffroi.drive.backup.work import Backups
from beffroi.drive.store.commune import Communes
from beffroi.drive.upkeep import Upkeep
from beffroi.drive.web.bodies import SealedStore
from beffroi.lib.config import Config, load
from beffroi.supervise import secret_files

from tests.database_place import command
from tests.drive_place import LARGE, Place
from tests.drive_sound import body, filled, require_sound
from tests.fixtures_drive import noise

ROOT = Path(__file__).parents[2]
RUNBOOK = ROOT / "docs" / "runbooks" / "restore-drive.md"
pytestmark = pytest.mark.slow


def commands() -> list[list[str]]:
    (block,) = re.findall(r"```sh\n(.*?)```", RUNBOOK.read_text(), re.DOTALL)
    return [shlex.split(line) for line in block.splitlines()]


def machine(state: Path, place: Path) -> Config:
    """As far as ``up`` brings it before it starts anything."""
    state.mkdir(parents=True)
    (state / "beffroi.toml").write_text(f'drive_backup_path = "{place}"\n')
    config = load(state)
    for name in ("run", "log", "db", "feed", "doors"):
        (state / name).mkdir()
    secret_files.generate(config)
    return config


def drive(config: Config, owner: str, commits: ThreadPoolExecutor, workers: ThreadPoolExecutor) -> Place:
    communes = Communes(config.state / "drive", commits)
    bodies = SealedStore(config, communes, workers, lambda sha256, owner: None)
    return Place(config, communes, bodies, Upkeep(config, communes), owner)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of the demonstration."""
    config = machine(tmp_path_factory.mktemp("planted") / "state", Path("/nowhere"))
    made = command(config, ["prepare", "--demo", "default"], text="kept\n")
    assert made.returncode == 0, made.stderr
    return config.state / "db" / "beffroi.sqlite"


def communes(database: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(database)) as opened:
        return opened.execute(
            "SELECT id, name FROM collectivite WHERE kind = 'commune' ORDER BY id"
        ).fetchall()


def forget_communes(database: Path) -> None:
    """As a machine that was installed anew, and knows nobody."""
    with closing(sqlite3.connect(database)) as opened:
        opened.execute("PRAGMA foreign_keys = OFF")
        opened.execute("DELETE FROM collectivite")
        opened.commit()


@pytest.mark.parametrize("has_database", [True, False])
def test_a_commune_comes_back_on_another_machine_by_the_commands_of_the_runbook(
    tmp_path: Path, planted: Path, has_database: bool
) -> None:
    place = Path("/dev/shm") / f"beffroi-{tmp_path.name}-{os.getpid()}"  # another disk than the state's
    place.mkdir(mode=0o700)
    try:
        first = machine(tmp_path / "first", place)
        shutil.copy(planted, first.state / "db")
        (owner, name), (other, _), *_ = communes(planted)
        with ThreadPoolExecutor(2) as commits, ThreadPoolExecutor(2) as workers:
            here = drive(first, owner, commits, workers)
            files = filled(here)
            drive(first, other, commits, workers).put("voisin", noise(LARGE, b"voisin"))
            here.communes.close()
        assert command(first, ["drive", "backup", "now", "--state", str(first.state)]).returncode == 0

        # The machine is gone: what was outside of it is at hand.
        outside = tmp_path / "outside"
        outside.mkdir()
        shutil.copy(first.state / "secrets" / "commune-master.key", outside)
        shutil.copy(first.state / "db" / "beffroi.sqlite", outside)
        shutil.rmtree(first.state)
        second = machine(tmp_path / "second", place)
        shutil.copy(outside / "commune-master.key", second.state / "secrets")
        shutil.copy(outside / "beffroi.sqlite", second.state / "db")
        if not has_database:
            forget_communes(second.state / "db" / "beffroi.sqlite")
        said = []
        for words in commands():
            assert words[0] == "./beffroi"
            if not has_database and words[1:4] == ["drive", "backup", "now"]:
                continue  # who is to be backed up is asked of the database
            named = [(name if has_database else owner) if one == "COMMUNE" else one for one in words[1:]]
            done = command(second, [*named, "--state", str(second.state)])
            assert done.returncode == 0, (named, done.stdout, done.stderr)
            said.append(done.stdout)
        assert (name if has_database else owner) in said[0] and "objects came back" in said[1]
        assert ("nobody can sign in" in said[1]) is not has_database
        assert "1 collectivités would come back" in said[-1], "the other one was not touched"
        with ThreadPoolExecutor(2) as commits, ThreadPoolExecutor(2) as workers:
            there = drive(second, owner, commits, workers)
            require_sound(there, files)
            late = there.put("après", b"later")
            assert body(there, late) == b"later"
            there.communes.close()
    finally:
        shutil.rmtree(place)


def test_without_the_key_the_commands_say_what_lacks_and_change_nothing(
    tmp_path: Path, planted: Path
) -> None:
    place = tmp_path / "place"
    first = machine(tmp_path / "first", place)
    shutil.copy(planted, first.state / "db")
    (owner, name), *_ = communes(planted)
    with ThreadPoolExecutor(2) as commits, ThreadPoolExecutor(2) as workers:
        here = drive(first, owner, commits, workers)
        filled(here)
        assert Backups(first, here.communes).round().failed == ()
        here.communes.close()
    second = machine(tmp_path / "second", place)
    shutil.copytree(first.state / "db", second.state / "db", dirs_exist_ok=True)
    done = command(second, ["drive", "restore", name, "--yes", "--state", str(second.state)])
    assert done.returncode != 0 and "commune-master.key" in done.stderr + done.stdout
    assert not (second.state / "drive" / owner / "keys.json").exists()
    assert not (second.state / "drive" / owner / "metadata.db").exists()
    drill = Drill(1_800_000_000, took_s=4, picture_s=1_799_990_000, files=3, size_bytes=30)
    drills.path(second).write_bytes(msgspec.json.encode({owner: drill}))
    told = command(second, ["check", "backup", "--state", str(second.state)])
    assert told.returncode == 1 and "one broken disk takes both" in told.stdout
    assert "drill: of the backup of 2027-01-15 06:13 3 files" in told.stdout
    absent = command(second, ["drive", "restore", "col_" + "0" * 26, "--yes", "--state", str(second.state)])
    assert absent.returncode != 0 and "No single collectivité" in absent.stderr + absent.stdout
