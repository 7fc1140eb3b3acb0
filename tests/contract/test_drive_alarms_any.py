"""What a device did is taken back whatever it did, and whichever folders colleagues deleted meanwhile."""

from __future__ import annotations

import random
from contextlib import suppress

import pytest
from beffroi.drive import alarms, recovery
from beffroi.drive.guard.scoring import Alarm
from beffroi.drive.guard.signs import Sign
from beffroi.drive.store import look, schema, tree
from beffroi.drive.store.database import Database
from beffroi.drive.store.model import Node
from beffroi.lib.errors import BeffroiError

from tests.drive_trees import ME, NOW_S, OTHER, Open, at, folder, put, require_whole

pytest_plugins = ["tests.fixtures_drive_store"]
EVIL, COLLEAGUE, REFERENT = at(NOW_S + 10), at(NOW_S + 10, OTHER), at(NOW_S + 100, OTHER)


def below(database: Database, home: Node) -> list[Node]:
    with database.reading() as reading:
        require_whole(reading)
        return list(look.below(reading, home.id))


def step(database: Database, home: Node, rng: random.Random, name: str, deleted: set[int]) -> None:
    """One thing that the device does, or a folder that a colleague deletes."""
    there = below(database, home)
    one, into = rng.choice(there), rng.choice([home, *(one for one in there if one.is_folder)])
    match rng.choice("mmmmfnwdc"):
        case "m":
            database.write(
                lambda w: tree.move(w, EVIL, one.id, into.id, rng.choice((name, rng.choice(there).name)))
            )
        case "f":
            folder(database, into.id, name, EVIL)
        case "n":
            put(database, into.id, name, b"pay", EVIL)
        case "w" if not one.is_folder:
            put(database, one.parent, one.name, name.encode(), EVIL)
        case "d":
            database.write(lambda w: tree.delete(w, EVIL, one.id))
        case "c" if into.id != home.id:
            database.write(lambda w: tree.delete(w, COLLEAGUE, into.id))
            deleted.add(into.id)


@pytest.mark.parametrize("seed", range(12))
def test_all_comes_back_but_what_lay_in_a_folder_that_a_colleague_deleted(opens: Open, seed: int) -> None:
    rng, database = random.Random(seed), opens()
    home = database.write(lambda w: tree.make_root(w, schema.HOME + "per_me", now_s=NOW_S))
    folders, deleted = [home], set[int]()
    for number in range(rng.randint(2, 6)):
        folders.append(folder(database, rng.choice(folders).id, f"d{number}", OTHER))
    for number in range(rng.randint(2, 8)):
        put(database, rng.choice(folders).id, f"f{number}", b"work %d" % number, OTHER)
    before = {one.id: one for one in below(database, home)}
    for number in range(rng.randint(4, 16)):
        with suppress(BeffroiError, IndexError):
            step(database, home, rng, f"x{number}", deleted)
    alarm = Alarm(ME.device_id, float(EVIL.now_s), 3, {Sign.LOST: 3})
    database.write(lambda w: alarms.raise_(w, alarm, now_s=EVIL.now_s))
    assert recovery.carry_out(database, REFERENT, ME.device_id).missed == 0
    after = {one.id: (one.parent, one.name, one.sha256) for one in below(database, home)}

    def is_theirs(node: int) -> bool:
        return node in before and (node in deleted or is_theirs(before[node].parent))

    expected = {
        one.id: (one.parent, one.name, one.sha256) for one in before.values() if not is_theirs(one.id)
    }
    assert {node: found for node, found in after.items() if node in expected} == expected
    assert after.keys() <= before.keys(), "nothing that the device made is left"
