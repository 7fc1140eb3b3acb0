"""Calendars that come back from a backup: the old ones or the new ones, whole, wherever a kill or a power cut falls."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from beffroi.drive.backup import calendars
from beffroi.drive.calendars import homes
from beffroi.lib.config import Config

from tests.waiting import PATIENCE_S

OWNER = "col_" + "0" * 26
OLD = {"mairie/agenda/a.ics": "old a", "mairie/agenda/b.ics": "old b"}
NEW = {"mairie/agenda/a.ics": "new a", "mairie/contacts/c.vcf": "new c"}

KILLED_AT_EACH_STEP = """
import os, shutil, signal, sys
from itertools import count
from pathlib import Path
from beffroi.drive.backup import calendars
from beffroi.lib.config import Config

base, archive, owner = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
steps = ("open", "os.mkdir", "os.remove", "os.rename", "os.rmdir")

def load(state, step):
    left = [step]
    def hook(event, arguments):
        if event in steps:
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)
    calendars.load(Config(state=state), owner, archive)
    os._exit(0)

for step in count(1):
    state = base / str(step)
    shutil.copytree(base / "0", state)
    child = os.fork() or load(state, step)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0:
        break
"""


def root(state: Path) -> Path:
    return homes.folder(Config(state=state), OWNER) / homes.ROOT


def fill(state: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root(state) / name).parent.mkdir(parents=True, exist_ok=True)
        (root(state) / name).write_text(text)


def found(state: Path) -> dict[str, str] | None:
    place = root(state)
    if not place.exists():
        return None
    return {str(one.relative_to(place)): one.read_text() for one in place.rglob("*") if one.is_file()}


def left(state: Path) -> list[str]:
    return sorted(one.name for one in root(state).parent.glob(".[fg]*"))


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Of NEW."""
    fill(tmp_path / "new", NEW)
    assert calendars.take(Config(state=tmp_path / "new"), OWNER, tmp_path / "archive")
    return tmp_path / "archive"


@pytest.mark.parametrize("old", [OLD, None], ids=["instead of others", "where none are"])
def test_a_kill_at_any_step_leaves_the_old_or_the_new_and_the_next_run_clears(
    tmp_path: Path, archive: Path, old: dict[str, str] | None
) -> None:
    """Where none are, none stay: an empty folder would be taken for calendars that there are."""
    base = tmp_path / "states"
    (base / "0").mkdir(parents=True)
    fill(base / "0", old or {})
    command = [sys.executable, "-c", KILLED_AT_EACH_STEP, str(base), str(archive), OWNER]
    subprocess.run(command, check=True, timeout=PATIENCE_S)
    states = sorted(base.iterdir(), key=lambda one: int(one.name))
    kept = [found(one) for one in states]
    assert kept[0] == old
    assert kept[-1] == NEW
    assert all(one in (old, NEW) for one in kept), kept
    assert any(map(left, states[1:-1])), "no kill fell where something lies beside"
    for number, state in enumerate(states):
        if number % 2 and root(state).is_dir():
            assert calendars.take(Config(state=state), OWNER, tmp_path / f"archive-{number}")
            assert found(state) == kept[number]
        else:
            calendars.load(Config(state=state), OWNER, archive)
            assert found(state) == NEW
        assert left(state) == []


def test_what_comes_back_is_on_the_disk_before_the_old_goes(
    tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path / "state", OLD)
    place, fsync = root(tmp_path / "state"), os.fsync
    before, after = set[int](), set[int]()
    old, entry = place.stat().st_ino, (place / "mairie/agenda/b.ics").stat().st_ino

    def noted(descriptor: int) -> None:
        fsync(descriptor)
        if place.stat().st_ino == old:
            before.add(os.fstat(descriptor).st_ino)
        elif any(one.stat().st_ino == entry for one in place.parent.rglob("*.ics")):
            after.add(os.fstat(descriptor).st_ino)

    monkeypatch.setattr(os, "fsync", noted)
    calendars.load(Config(state=tmp_path / "state"), OWNER, archive)
    assert found(tmp_path / "state") == NEW
    assert {one.stat().st_ino for one in (place, *place.rglob("*"))} <= before
    assert place.parent.stat().st_ino in after, "the old went before their end was on the disk"
