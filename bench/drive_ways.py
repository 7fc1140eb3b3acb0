"""What people, clients and sweeps ask of one collectivité's metadata, each as one operation that can be measured.

Part of ``drive-tree``. An operation gets the number of its turn. What a sweep does is divided by files: it may cost
more in a large collectivité, but no more for each.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from beffroi.drive import journal
from beffroi.drive.store import (
    collect,
    findings,
    frozen,
    look,
    moments,
    room,
    schema,
    scrub,
    trash,
    tree,
    uploads,
    versions,
    weights,
)
from beffroi.drive.store.database import Database
from beffroi.drive.store.model import Node
from beffroi.drive.store.orders import Orders
from beffroi.drive.store.sqlite import SqliteDatabase
from beffroi.drive.store.writing import Reading, Writing
from beffroi.drive.views import View
from beffroi.drive.who import Who

from bench.drive_fill import NOW_S, Filled, act, content

FRESH = 10**12
LATER = act(NOW_S + 10)
Operation = Callable[[int], object]


def put(database: Database, filled: Filled, number: int) -> object:
    folder = random.Random(number).choice(filled.folders)
    return database.write(lambda w: tree.put(w, LATER, folder, f"s{number}", content(2 * FRESH + number)))


def operations(database: Database, filled: Filled, count: int) -> dict[str, Operation]:
    """By their names in the table, in the order in which they are to be done; each ``count`` times."""
    dice = random.Random(1)
    some = _files(database, filled, dice, 2 * count)
    moving, other = some[:count], some[count:]
    who = Who("per_bench", "mem_bench", "col_bench", "referent", "app_bench", "bench", "")
    view, orders = View(database, who), Orders()

    def written(change: Callable[[Writing, int], object]) -> Operation:
        return lambda number: database.write(lambda w: change(w, number))

    def read(look_up: Callable[[Reading, int], object]) -> Operation:
        def operation(number: int) -> object:
            with database.reading() as reading:
                return look_up(reading, number)

        return operation

    def listed(reading: Reading, _: int) -> object:
        path = look.path_of(reading, dice.choice(filled.folders)).split("/")
        place = view.place(reading, ("Commune", *path))
        return view.children(reading, place)

    def again(w: Writing, number: int) -> object:
        return tree.put(w, LATER, filled.deep, "again", content(-FRESH - number))

    def version(w: Writing, number: int) -> object:
        one = look.child(w, filled.deep, "again")
        assert one is not None
        kept = versions.of(w, one.id)[number % 5]
        return versions.restore(w, LATER, kept.node, kept.etag)

    def for_good(w: Writing, number: int) -> None:
        tree.delete(w, LATER, other[number].id)
        trash.forget(w, LATER, filled.root, other[number].id)

    def thinned(w: Writing, _: int) -> object:
        after = dice.choice(filled.folders[: len(filled.folders) // 2])
        now_s, since = NOW_S + 60, versions.Since()
        return versions.thin(w, now_s=now_s, keep_s=1 << 40, till_s=now_s, since=since, after=after, most=20)

    def past(reading: Reading, _: int) -> object:
        return moments.Moment(reading, NOW_S + 5).children(dice.choice(filled.folders))

    def page(reading: Reading, _: int) -> object:
        folder = look.node(reading, dice.choice(filled.folders))
        assert folder is not None
        return orders.part(reading, "col_bench", folder, first=0, most=200)

    def newest(reading: Reading) -> int:
        row = reading.one("SELECT MAX(number) FROM change")
        assert row is not None
        return int(row[0])

    def rooms(reading: Reading, _: int) -> object:
        return room.room(reading, filled.root), room.room(reading, room.WHOLE)

    return {
        "a folder of 100 by its path, listed": read(listed),
        "a folder of 100 on the page": read(page),
        "path of a file by its number": read(lambda reading, number: view.at(reading, some[number].id).path),
        "room of all": read(rooms),
        "put a new file": written(
            lambda w, n: tree.put(w, LATER, dice.choice(filled.folders), f"n{n}", content(FRESH + n))
        ),
        "put a new file, 20 deep": written(
            lambda w, n: tree.put(w, LATER, filled.deep, f"n{n}", content(3 * FRESH + n))
        ),
        "write a file again": written(again),
        "restore a version": written(version),
        "versions of a file": read(lambda reading, n: versions.of(reading, some[n].id)),
        "copy a file": written(lambda w, n: tree.copy(w, LATER, other[n].id, filled.deep, f"c{n}")),
        "move a file": written(
            lambda w, n: tree.move(w, LATER, moving[n].id, dice.choice(filled.folders), f"m{n}")
        ),
        "delete a file": written(lambda w, n: tree.delete(w, LATER, moving[n].id)),
        "the trash, its newest 100": read(lambda reading, _: trash.page(reading, filled.root)),
        "bring a file back": written(lambda w, n: trash.restore(w, LATER, filled.root, moving[n].id)),
        "delete a file, then for good": written(for_good),
        "destroy what was deleted for good": written(lambda w, _: trash.destroy(w, LATER, most=1)),
        "a folder as it was": read(past),
        "100 changes since a number": read(lambda r, _: journal.after(r, newest(r) - 100, 100)),
        "100 changes since a number, for the scan": read(
            lambda r, _: findings.changes(r, newest(r) - 100, 100)
        ),
        "64 contents after one, for the scan": read(lambda r, n: findings.after(r, f"{n % 200:02x}", 64)),
        "where a hash lies": read(lambda reading, n: frozen.count(reading, some[n].sha256)),
        "versions of 20 files thinned": written(thinned),
        "loose chunks, none": written(lambda w, _: collect.doom_loose(w, now_s=NOW_S)),
        "trash past its term, none": written(lambda w, _: trash.expire(w, LATER, before_s=NOW_S)),
        "uploads past their term, none": written(
            lambda w, _: uploads.expire(w, before_s=NOW_S - 1, now_s=NOW_S)
        ),
        "journal past its term, none": written(lambda w, _: moments.forget(w, before_s=NOW_S - 1)),
        "the next 100 chunks, for the deep walk": read(
            lambda r, n: r.all(
                "SELECT id FROM chunk WHERE id > ? ORDER BY id LIMIT 100", (bytes((n % 256,)),)
            )
        ),
    }


def sweeps(database: Database) -> dict[str, Callable[[], object]]:
    """What reads everything; by their names in the table."""

    def light() -> None:
        cursor, walk = None, scrub.Scrub("col_bench", database, _Inline())
        while True:
            step = walk.light(cursor)
            assert not step.damages
            cursor = step.cursor
            if cursor is None:
                return

    def counted() -> object:
        with database.reading() as reading:
            return weights.drift(reading)

    def forgotten() -> object:
        with database.reading() as reading:
            return findings.gone(reading)

    def walked() -> None:
        with database.reading() as reading:
            root = look.root(reading, schema.COMMON)
            assert root is not None
            for _ in look.below(reading, root.id):
                pass

    def copied() -> None:
        assert isinstance(database, SqliteDatabase)
        with TemporaryDirectory(dir=database.path.parent) as place:
            database.copy_to(Path(place) / "picture.db")

    return {
        "light walk": light,
        "room counted anew": counted,
        "what the scan said of contents that went": forgotten,
        "a search through all folders": walked,
        "picture for the backup": copied,
    }


class _Inline:
    """Objects where all chunks lie with the metadata. Implements ``scrub.Objects``."""

    def list(self) -> Iterator[collect.Stored]:
        return iter(())

    def judge(self, chunk_id: bytes, length: int, sealed: bytes | None) -> scrub.State:
        return "sound" if sealed is not None else "missing"

    def replace(self, chunk_id: bytes, sealed: bytes) -> None:
        raise AssertionError("nothing is mended here")


def _files(database: Database, filled: Filled, dice: random.Random, count: int) -> list[Node]:
    """So many of different folders, each once, as far as there are folders enough."""
    found: dict[int, Node] = {}
    with database.reading() as reading:
        children = partial(look.children, reading)
        while len(found) < count:
            one = dice.choice(children(dice.choice(filled.folders)))
            found[one.id] = one
    return list(found.values())
