"""The key of a commune's files is replaced: all is sealed anew, nothing is lost on the way, the old key ends last."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest
from beffroi.drive import renewal
from beffroi.drive.renewal import Renewal
from beffroi.drive.store import resealing, tree
from beffroi.drive.store.model import Content, Node
from beffroi.drive.store.object_store import open_objects
from beffroi.drive.store.objects import object_name
from beffroi.drive.store.refs import ChunkVanished
from beffroi.drive.store.resealing import QUIET_S
from beffroi.lib import clock
from beffroi.lib.errors import Unavailable

from tests.drive_place import LARGE, Place, place
from tests.drive_sound import body, filled, keys, numbers, require_sound, sealed_by, stock
from tests.fixtures_drive import noise
from tests.waiting import PATIENCE_S, until

__all__ = ["place"]

DAY_S = 86400


def test_everything_is_sealed_anew_and_the_old_key_ends_after_the_proof(place: Place) -> None:
    files, told = filled(place), list[tuple[object, ...]]()
    work = Renewal(place.config, place.communes, lambda *one: told.append(one))
    work.round()
    assert (numbers(place), sealed_by(place), renewal.sentence(place.config)) == ([1], {1}, "")
    assert keys(place).rotate() == 2
    work.round()
    assert (numbers(place), sealed_by(place)) == ([1, 2], {2})
    assert "Keys of files are being replaced: 1 " in renewal.sentence(place.config)
    require_sound(place, files)
    with clock.shifted(QUIET_S + 60):
        work.round()
    assert (numbers(place), sealed_by(place), renewal.sentence(place.config)) == ([2], {2}, "")
    assert told == [("drive:key_destroyed", place.owner, {"generation": 1})]
    for size in (80, LARGE):  # what comes after the proof is no older than it, small or large
        data = noise(size, b"after the proof")
        files[f"neuf {size}"] = (place.put(f"neuf {size}", data), data)
    require_sound(place, files)
    folder = place.config.state / "drive" / place.owner
    assert [one.name for one in folder.iterdir() if one.name.startswith(".keys")] == []
    assert keys(place).rotate() == 3, "a number is never used again"


def test_a_key_that_is_old_is_replaced_by_itself(place: Place) -> None:
    place.put("a", b"a")
    told = list[tuple[object, ...]]()
    work = Renewal(place.config, place.communes, lambda *one: told.append(one))
    with clock.shifted(place.config.drive_key_days * DAY_S - 60):
        work.round()
        assert numbers(place) == [1]
    with clock.shifted((place.config.drive_key_days + 1) * DAY_S):
        work.round()
        assert (numbers(place), sealed_by(place), told) == (
            [1, 2],
            {2},
            [("drive:key_added", place.owner, {"generation": 2})],
        )


def test_a_key_is_on_record_before_it_is_made_or_destroyed(place: Place) -> None:
    files, told, is_down = filled(place), list[tuple[object, ...]](), True

    def tell(*one: object) -> None:
        if is_down:
            raise Unavailable("The database")
        told.append(one)

    work = Renewal(place.config, place.communes, tell)
    with clock.shifted((place.config.drive_key_days + 1) * DAY_S):
        work.round()
        assert numbers(place) == [1], "nobody would know of the new one"
        is_down = False
        work.round()
        assert (numbers(place), told) == ([1, 2], [("drive:key_added", place.owner, {"generation": 2})])
        is_down = True
    with clock.shifted((place.config.drive_key_days + 2) * DAY_S + QUIET_S):
        work.round()
        assert numbers(place) == [1, 2], "nobody would know that it is gone"
        is_down = False
        work.round()
    assert (numbers(place), told[1:]) == ([2], [("drive:key_destroyed", place.owner, {"generation": 1})])
    require_sound(place, files)


def test_what_a_kill_left_of_a_destroyed_key_goes(place: Place) -> None:
    place.put("a", b"a")
    left = place.config.state / "drive" / place.owner / ".keys.json.before"
    left.write_bytes(b"the file before")
    Renewal(place.config, place.communes).round()
    assert not left.exists() and numbers(place) == [1]


def put_content(place: Place, name: str, content: Content) -> Node:
    root = place.root()
    return place.database.write(lambda w: tree.put(w, place.act(), root.id, name, content))[0]


def test_what_was_sealed_before_and_comes_after_the_proof_is_sent_again(place: Place) -> None:
    place.put("a", b"a")
    early, late = place.taken(noise(LARGE, b"early")), place.taken(noise(LARGE, b"late"))
    work = Renewal(place.config, place.communes)
    keys(place).rotate()
    work.round()

    one = put_content(place, "early", early)
    assert sealed_by(place) == {1, 2}, "it came behind the walk"
    with clock.shifted(QUIET_S + 60):
        work.round()
        assert (numbers(place), sealed_by(place)) == ([2], {2})
        with pytest.raises(ChunkVanished):
            put_content(place, "late", late)
        again = put_content(place, "late", place.taken(noise(LARGE, b"late")))
    assert body(place, one) == noise(LARGE, b"early")
    assert body(place, again) == noise(LARGE, b"late")


def test_a_small_one_is_sealed_by_the_key_of_the_moment_that_keeps_it(place: Place) -> None:
    early, late = place.taken(noise(100, b"early")), place.taken(noise(100, b"late"))
    work = Renewal(place.config, place.communes)
    one = put_content(place, "early", early)
    keys(place).rotate()
    other = put_content(place, "late", late)
    assert sealed_by(place) == {1, 2}
    work.round()
    with clock.shifted(QUIET_S + 60):
        work.round()
        assert (numbers(place), sealed_by(place)) == ([2], {2})
    assert (body(place, one), body(place, other)) == (noise(100, b"early"), noise(100, b"late"))


def test_a_damaged_object_keeps_the_old_key_until_it_is_whole_again(place: Place) -> None:
    one = place.put("grand", noise(LARGE, b"x"))
    (path,) = place.objects()
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    work = Renewal(place.config, place.communes)
    keys(place).rotate()
    work.round()
    with clock.shifted(QUIET_S + 60):
        work.round()
        assert numbers(place) == [1, 2]
        assert "In 1, damaged files keep the old key" in renewal.sentence(place.config)
        path.unlink()
        work.round()
        assert numbers(place) == [1, 2], "missing is no better"
        path.write_bytes(whole)
        work.round()
        assert (numbers(place), sealed_by(place)) == ([2], {2})
    assert body(place, one) == noise(LARGE, b"x")


def test_metadata_from_before_still_open_while_a_backup_needs_their_key(place: Place) -> None:
    files = filled(place)
    place.communes.close()
    metadata, kept = (
        place.config.state / "drive" / place.owner / "metadata.db",
        place.config.state / "kept.db",
    )
    shutil.copyfile(metadata, kept)
    needed = {1}
    work = Renewal(place.config, place.communes, needed=lambda owner: needed)
    keys(place).rotate()
    work.round()
    with clock.shifted(QUIET_S + 60):
        work.round()
        assert (numbers(place), sealed_by(place)) == ([1, 2], {2})
    place.communes.close()
    shutil.copyfile(kept, metadata)
    assert sealed_by(place) == {1, 2}, "the small ones lie with the metadata"
    require_sound(place, files)
    needed.clear()
    work.round()
    with clock.shifted(QUIET_S + 60):
        work.round()
        assert (numbers(place), sealed_by(place)) == ([2], {2})
    require_sound(place, files)


def test_a_key_goes_only_with_its_last_chunk(place: Place) -> None:
    """Objects that are changed behind the walks' back: what is counted is what lies there."""
    place.put("grand", noise(LARGE, b"x"))
    (path,) = place.objects()
    old = path.read_bytes()
    work = Renewal(place.config, place.communes)
    keys(place).rotate()
    work.round()
    path.write_bytes(old)  # a late writer
    with clock.shifted(QUIET_S + 60):
        step = work.step(place.owner)
        assert step.progress is not None and step.progress.phase == "proving"
        step = work.step(place.owner)
        assert step.progress is not None and (step.progress.phase, numbers(place)) == ("proving", [1, 2])
        work.round()
    assert (numbers(place), sealed_by(place)) == ([2], {2})


STEPS = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from beffroi.drive.renewal import Renewal
from beffroi.drive.store import resealing
from beffroi.drive.store.commune import Communes
from beffroi.lib.config import Config
resealing.QUIET_S, resealing.MOST_RESEALED, resealing.MOST_LOOKED_AT = 0, 2, 3
state = Path(sys.argv[1])
with ThreadPoolExecutor(2) as pool:
    Renewal(Config(state=state), Communes(state / "drive", pool)).round()
"""


@pytest.mark.slow
def test_kills_at_any_moment_lose_nothing_and_the_key_is_replaced_all_the_same(place: Place) -> None:
    files = filled(place) | {
        f"n{n}": (place.put(f"n{n}", noise(LARGE, b"%d" % n)), noise(LARGE, b"%d" % n)) for n in range(40)
    }
    seed = int(os.environ.get("BEFFROI_TEST_SEED", "1"))
    chance, kills = random.Random(seed), 0
    keys(place).rotate()
    command = [sys.executable, "-c", STEPS, str(place.config.state)]
    for _ in range(6):
        before = progress(place)
        with subprocess.Popen(command, start_new_session=True) as child:
            until(lambda b=before, c=child: progress(place) != b or c.poll() is not None, "a step")
            time.sleep(chance.uniform(0, 0.1))
            if child.poll() is None:
                child.send_signal(signal.SIGKILL)
                kills += 1
        for name in chance.sample(sorted(files), 3):
            assert body(place, files[name][0]) == files[name][1]
    subprocess.run(command, check=True, timeout=PATIENCE_S)
    assert (numbers(place), sealed_by(place)) == ([2], {2})
    assert kills
    require_sound(place, files)


def progress(place: Place) -> resealing.Progress | None:
    with place.database.reading() as reading:
        return resealing.read(reading)


def test_what_is_sealed_by_no_key_that_there_is_opens_nowhere(place: Place) -> None:
    """The old key is gone indeed: an object that somebody copied before is nothing any more."""
    place.put("grand", noise(LARGE, b"x"))
    (path,) = place.objects()
    copied = path.read_bytes()
    work = Renewal(place.config, place.communes)
    keys(place).rotate()
    work.round()
    with clock.shifted(QUIET_S + 60):
        work.round()
    assert numbers(place) == [2]
    with place.database.reading() as reading:
        (row,) = reading.all("SELECT id, length FROM chunk WHERE sealed IS NULL")
    open_objects(place.config).put(object_name(place.owner, bytes(row[0])), copied)
    assert stock(place).judge(bytes(row[0]), row[1], None) == "damaged"
    assert resealing.QUIET_S == DAY_S
