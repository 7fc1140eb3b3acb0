"""The drive's metadata when processes are killed and the disk is full: all that was acknowledged, nothing half."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from beffroi.drive import alarms, recovery
from beffroi.drive.guard.scoring import Alarm
from beffroi.drive.guard.signs import Sign
from beffroi.drive.store import look, schema, trash, tree, versions
from beffroi.drive.store.database import Database
from beffroi.drive.store.model import Act, StoreFull
from beffroi.drive.store.sqlite import SqliteDatabase

from tests.drive_trees import ME, NOW_S, content, listing, put, require_whole
from tests.waiting import PATIENCE_S

KILLS = int(os.environ.get("BEFFROI_DRIVE_KILLS", "20"))
DISK_BYTES = 1 << 20
ROOT = Path(__file__).parents[2]

WORK = """
import random, sys, threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from beffroi.drive.store import look, schema, trash, tree, versions
from beffroi.drive.store.sqlite import SqliteDatabase
from tests.drive_trees import ME, NOW_S, content

path, seed = Path(sys.argv[1]), int(sys.argv[2])
said = threading.Lock()
with ThreadPoolExecutor(2) as pool:
    drive = SqliteDatabase(path, pool)
    home = drive.write(lambda w: tree.make_root(w, schema.COMMON, now_s=NOW_S)).id

    def work(worker):
        dice = random.Random(f"{seed}/{worker}")
        mine = {}
        for n in range(10**9):
            name, kind = f"{seed}-{worker}-{dice.randrange(6)}", dice.choice(("put", "put", "delete", "old"))
            if kind == "put":
                data = f"{worker} {n} {seed}".encode()
                made = drive.write(lambda w: tree.put(w, ME, home, name, content(data)))[0]
                mine[name], told = made, f"put {name} {made.id} {made.sha1}"
            elif kind == "delete" and name in mine:
                gone = mine.pop(name).id
                def remove(w):
                    tree.delete(w, ME, gone)
                    if n % 2:
                        trash.forget(w, ME, home, gone)
                        trash.destroy(w, ME)
                drive.write(remove)
                told = f"delete {name} {gone} -"
            elif kind == "old" and name in mine:
                node = mine[name].id
                def back(w):
                    kept = versions.of(w, node)
                    return versions.restore(w, ME, node, kept[-1].etag) if kept else None
                made = drive.write(back)
                if made is None:
                    continue
                mine[name], told = made, f"put {name} {made.id} {made.sha1}"
            else:
                continue
            with said:
                print(told, flush=True)

    for worker in range(4):
        threading.Thread(target=work, args=(worker,), daemon=True).start()
    threading.Event().wait()
"""


def test_what_was_acknowledged_outlives_each_kill(tmp_path: Path) -> None:
    path, dice = tmp_path / "metadata.db", random.Random(7)
    expected: dict[str, tuple[int, str]] = {}
    for turn in range(KILLS):
        child = subprocess.Popen(
            [sys.executable, "-c", WORK, str(path), str(turn)], stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        assert child.stdout is not None
        try:
            said = [child.stdout.readline() for _ in range(dice.randrange(1, 400))]
        finally:
            child.send_signal(signal.SIGKILL)
            rest = child.stdout.read()
            child.wait(PATIENCE_S)
        lines = "".join(said) + rest
        assert lines, "it did something"
        for line in lines[: lines.rfind("\n") + 1].splitlines():
            kind, name, node_id, sha1 = line.split()
            expected[name] = (int(node_id), sha1 if kind == "put" else "")
        _require(path, expected, turn)


def _require(path: Path, expected: dict[str, tuple[int, str]], turn: int) -> None:
    """Of each name the last acknowledged change is there, or one later change of the worker that nobody heard of."""
    with ThreadPoolExecutor(1) as pool:
        drive = SqliteDatabase(path, pool)
        with drive.reading() as reading:
            assert reading.one("PRAGMA integrity_check") == ("ok",)
            require_whole(reading)
            root = look.root(reading, schema.COMMON)
            assert root is not None
            there = {one.name: one for one in look.children(reading, root.id)}
            unheard: dict[str, int] = {}
            for name, (node_id, sha1) in expected.items():
                one = there.get(name)
                if (one.sha1 if one else "") == sha1:
                    continue
                worker = "-".join(name.split("-")[:2])
                unheard[worker] = unheard.get(worker, 0) + 1
                if one is not None and one.id == node_id and sha1:
                    kept = {version.sha1 for version in versions.of(reading, node_id)}
                    assert sha1 in kept, "a later content took its place, and it is a version"
            assert all(count == 1 for count in unheard.values()), unheard
            assert not unheard or set(unheard) <= {f"{turn}-{worker}" for worker in range(4)}
        for name in {name for name in expected if name.startswith(f"{turn}-")}:
            one = there.get(name)
            expected[name] = (one.id, one.sha1) if one else (0, "")
        drive.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "small"
    place.mkdir()
    options = f"size={DISK_BYTES}"
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(place)], check=False)
    if made.returncode:
        pytest.skip("this machine allows no mounts")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def _grow(disk: Path, size_bytes: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size_bytes}", str(disk)], check=True)


def _filled(drive: Database, root: int) -> int:
    """Write until the disk is full; return how many files were acknowledged."""
    for n in range(10_000):
        try:
            put(drive, root, f"f{n}", b"%06d" % n * 500)
        except StoreFull:
            return n
    raise AssertionError("it is never full")


@pytest.mark.root
def test_a_full_disk_refuses_and_goes_on_when_there_is_room(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    with ThreadPoolExecutor(2) as pool:
        drive = SqliteDatabase(small_disk / "metadata.db", pool)
        root = drive.write(lambda w: tree.make_root(w, schema.COMMON, now_s=NOW_S)).id
        ballast.write_bytes(bytes(300_000))
        acknowledged = _filled(drive, root)
        assert acknowledged
        with pytest.raises(StoreFull):
            drive.write(lambda w: tree.put(w, ME, root, "more", content(bytes(200_000))))
        assert listing(drive, root) == {f"f{n}": 3000 for n in range(acknowledged)}
        with drive.reading() as reading:
            require_whole(reading)
        ballast.unlink()
        assert put(drive, root, "after", b"1").name == "after"
        drive.close()
        again = SqliteDatabase(small_disk / "metadata.db", pool)
        assert listing(again, root) == {f"f{n}": 3000 for n in range(acknowledged)} | {"after": 1}
        with again.reading() as reading:
            require_whole(reading)
            assert reading.one("PRAGMA integrity_check") == ("ok",)
        again.close()


@pytest.mark.root
def test_a_way_back_goes_on_as_far_as_a_full_disk_lets_it(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "MOST_STEPS", 5)
    evil, referent = Act("per_me", "app_evil", NOW_S + 10), Act("per_referent", "", NOW_S + 20)
    with ThreadPoolExecutor(2) as pool:
        drive = SqliteDatabase(small_disk / "metadata.db", pool)
        root = drive.write(lambda w: tree.make_root(w, schema.COMMON, now_s=NOW_S)).id
        files = [f"p{n:02}" for n in range(20)]
        for act, word in ((ME, b"work "), (evil, b"spoiled ")):
            drive.write(
                lambda w, act=act, word=word: [
                    tree.put(w, act, root, name, content(word + name.encode())) for name in files
                ]
            )
        alarm = Alarm(evil.device_id, float(evil.now_s), 3, {Sign.LOST: 3})
        drive.write(lambda w: alarms.raise_(w, alarm, now_s=evil.now_s))
        _filled(drive, root)
        done = []
        for more in range(8):
            with suppress(StoreFull):
                recovery.carry_out(drive, referent, evil.device_id)
            with drive.reading() as reading:
                require_whole(reading)
                done.append(alarms.find(reading, evil.device_id).done)
            _grow(small_disk, DISK_BYTES + more * (16 << 10))
        assert done == sorted(done) and done[-1] < len(files), done
        _grow(small_disk, 4 * DISK_BYTES)
        over = recovery.carry_out(drive, referent, evil.device_id)
        assert (over.state, over.done, over.missed) == ("restored", len(files), 0)
        assert {listing(drive, root)[name] for name in files} == {len(b"work p00")}
        drive.close()


@pytest.mark.root
def test_a_disk_without_any_room_opens_nothing_new_and_says_so(small_disk: Path) -> None:
    (small_disk / "ballast").write_bytes(bytes(DISK_BYTES - 4096))
    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(StoreFull):
            SqliteDatabase(small_disk / "metadata.db", pool)
        (small_disk / "ballast").unlink()
        drive = SqliteDatabase(small_disk / "metadata.db", pool)
        root = drive.write(lambda w: tree.make_root(w, schema.COMMON, now_s=NOW_S)).id
        assert put(drive, root, "x", b"1").name == "x"
        assert drive.write(lambda w: trash.destroy(w, ME)) is False
        drive.close()
