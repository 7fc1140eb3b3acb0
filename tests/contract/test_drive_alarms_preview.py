"""What the preview of an alarm says is done, and no more, whatever the device and its colleagues did."""

from __future__ import annotations

import random
from contextlib import suppress

import pytest
from beffroi.drive import alarms, recovery
from beffroi.drive.guard.scoring import Alarm
from beffroi.drive.guard.signs import Sign
from beffroi.drive.store import schema, trash, tree
from beffroi.drive.store.database import Database
from beffroi.drive.store.model import Node
from beffroi.lib.errors import BeffroiError

from tests.contract.test_drive_alarms_any import COLLEAGUE, EVIL, REFERENT, below
from tests.drive_trees import ME, NOW_S, OTHER, Open, folder, put

pytest_plugins = ["tests.fixtures_drive_store"]


def step(database: Database, home: Node, rng: random.Random, name: str) -> None:
    """One thing that the device does, or a colleague."""
    there = below(database, home)
    act = EVIL if rng.random() < 0.6 else COLLEAGUE
    one, into = rng.choice(there), rng.choice([home, *(one for one in there if one.is_folder)])
    match rng.choice("mmmfnwwdt"):
        case "m":
            called = rng.choice((name, rng.choice(there).name))
            database.write(lambda w: tree.move(w, act, one.id, into.id, called))
        case "f":
            folder(database, into.id, name, act)
        case "n":
            put(database, into.id, name, b"pay " + name.encode(), act)
        case "w" if not one.is_folder:
            put(database, one.parent, one.name, name.encode(), act)
        case "d":
            database.write(lambda w: tree.delete(w, act, one.id))
        case "t":
            with database.reading() as reading:
                back = rng.choice(trash.page(reading, home.id)).node
            database.write(lambda w: trash.restore(w, act, home.id, back))


@pytest.mark.parametrize("seed", [*range(8), 58, 83, 84, 95, 294, 328])
def test_what_is_done_is_what_the_preview_says_and_nothing_else(opens: Open, seed: int) -> None:
    rng, database = random.Random(seed), opens()
    home = database.write(lambda w: tree.make_root(w, schema.HOME + "per_me", now_s=NOW_S))
    folders = [home]
    for number in range(rng.randint(2, 6)):
        folders.append(folder(database, rng.choice(folders).id, f"d{number}", OTHER))
    for number in range(rng.randint(2, 8)):
        put(database, rng.choice(folders).id, f"f{number}", b"work %d" % number, OTHER)
    for number in range(rng.randint(4, 16)):
        with suppress(BeffroiError, IndexError):
            step(database, home, rng, f"x{number}")
    alarm = Alarm(ME.device_id, float(EVIL.now_s), 3, {Sign.LOST: 3})
    database.write(lambda w: alarms.raise_(w, alarm, now_s=EVIL.now_s))
    before = {one.id: (one.parent, one.name, one.sha256) for one in below(database, home)}
    with database.reading() as reading:
        lines = recovery.preview(reading, ME.device_id)
        touched = {
            row[0] for row in reading.all("SELECT node FROM change WHERE device_id = ?", (ME.device_id,))
        }
        last = reading.one("SELECT MAX(number) FROM change")
    assert last is not None
    assert recovery.carry_out(database, REFERENT, ME.device_id).missed == 0
    after = {one.id: (one.parent, one.name, one.sha256) for one in below(database, home)}
    with database.reading() as reading:
        copies = {
            row[0]
            for row in reading.all("SELECT node FROM change WHERE kind = 'created' AND number > ?", last)
        }
    both = before.keys() & after.keys()
    done = {
        "reverted": sum(before[one][2] != after[one][2] for one in both),
        "revived": len(after.keys() - before.keys() - copies),
        "moved": sum(before[one][:2] != after[one][:2] for one in both),
        "copied": len(after.keys() & copies),
        "removed": len(before.keys() - after.keys()),
        "lost": 0,
    }
    assert {word: sum(getattr(line, word) for line in lines) for word in done} == done
    theirs = before.keys() - touched
    assert {one: after.get(one) for one in theirs} == {one: before[one] for one in theirs}
