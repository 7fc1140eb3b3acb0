"""Is everything there, and is it what it says? Two gentle walks that can stop at any step and go on from a cursor.

Purpose: light, each day: the references of every chunk add up, and each has its object of its length.
         deep, each week: every chunk is opened, and its content has its name.
Rule:    one walk of a kind at a time. It is a row of steps; between two of them others work. A doubt is looked at
         again in a new picture, and opened, before it is called damage: rows and objects are not seen at one moment.
         What is damaged is fetched from another copy where there is one (``Copies``), proved, and put in its place.
Hostile: what is stored; a copy is not believed either.
Fails:   a store that does not answer ends the step (its error); the cursor stays where it was.
Source:  docs/internals/drive.md, "Scrubbing".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal, LiteralString, NamedTuple, Protocol

from beffroi.drive.store.collect import Stored
from beffroi.drive.store.database import Database, Reading, Writing
from beffroi.drive.store.look import path_of
from beffroi.drive.store.manifest import Manifest

PAGE = 1000
CHUNKS_A_SLICE = 200_000
MOST_OPENED = 100

type State = Literal["sound", "missing", "damaged"]
type Why = Literal["references", "missing", "damaged"]


class Objects(Protocol):
    """What a walk needs of the objects of one collectivité. Errors: Unavailable."""

    def list(self) -> Iterator[Stored]: ...
    def judge(self, chunk_id: bytes, length: int, sealed: bytes | None) -> State:
        """Open the chunk, as it lies in the objects or is given (``sealed``), and compare its content with its name."""

    def replace(self, chunk_id: bytes, sealed: bytes) -> None:
        """Put an object in the place of a damaged or missing one."""


class Copies(Protocol):
    """Where a good copy may be: a replica, a backup."""

    def fetch(self, chunk_id: bytes) -> bytes | None:
        """The sealed chunk, unproved; None where there is none."""


class NoCopies:
    def fetch(self, chunk_id: bytes) -> bytes | None:
        return None


class Held(NamedTuple):
    """What holds a damaged chunk. ``path``: from its root; ``version``: its etag, 0 for the present content; of a part
    of an upload: node 0."""

    node: int
    path: str
    version: int


@dataclass(frozen=True)
class Damage:
    """``references``: rows count ``counted``, and should ``expected``; nothing is lost by that alone."""

    collectivite_id: str
    chunk_id: bytes
    why: Why
    held: tuple[Held, ...]
    is_repaired: bool
    counted: int = 0
    expected: int = 0


class Cursor(NamedTuple):
    """Of the light walk: the next slice of ``slices``; chunks belong to one by their first two bytes."""

    slice: int
    slices: int


@dataclass(frozen=True)
class Step[C]:
    """``cursor``: where to go on; None: the walk is at its end."""

    cursor: C | None
    chunks: int
    damages: tuple[Damage, ...]


class Scrub:
    """The walks of one collectivité. Any process may take a step; nothing is kept here."""

    def __init__(
        self, collectivite_id: str, database: Database, objects: Objects, copies: Copies | None = None
    ) -> None:
        self._collectivite_id, self._database, self._objects = collectivite_id, database, objects
        self._copies: Copies = copies or NoCopies()

    def light(self, cursor: Cursor | None = None) -> Step[Cursor]:
        """One slice; so many that the counts of one fit into little memory. ``cursor`` None: the first."""
        with self._database.reading() as reading:
            at = cursor or Cursor(0, 1 + _count(reading) // CHUNKS_A_SLICE)
            expected = Counter(one for one in _referred(reading) if _slice(one, at.slices) == at.slice)
            rows = {row[0]: row[1:] for row in _chunks(reading) if _slice(row[0], at.slices) == at.slice}
        there = {
            one.chunk_id: one.size_bytes
            for one in self._objects.list()
            if _slice(one.chunk_id, at.slices) == at.slice
        }
        doubts = [
            chunk_id
            for chunk_id in rows.keys() | expected.keys()
            if chunk_id not in rows
            or rows[chunk_id][0] != expected[chunk_id]
            or not _fits(rows[chunk_id], there.get(chunk_id))
        ]
        step = at.slice + 1
        wrong = {
            chunk_id: (rows[chunk_id][0] if chunk_id in rows else 0, expected[chunk_id])
            for chunk_id in doubts
            if chunk_id not in rows or rows[chunk_id][0] != expected[chunk_id]
        }
        damages = self._miscounted(wrong) + self._judged(doubts)
        return Step(Cursor(step, at.slices) if step < at.slices else None, len(rows), damages)

    def deep(self, cursor: bytes = b"", *, most: int = MOST_OPENED) -> Step[bytes]:
        """Open the next ``most`` chunks by their names. ``cursor``: the last one that was opened."""
        with self._database.reading() as reading:
            rows = reading.all("SELECT id FROM chunk WHERE id > ? ORDER BY id LIMIT ?", (cursor, most))
        ids = [row[0] for row in rows]
        return Step(ids[-1] if len(ids) == most else None, len(ids), self._judged(ids))

    def _miscounted(self, wrong: dict[bytes, tuple[int, int]]) -> tuple[Damage, ...]:
        """A count is taken in one picture, and so needs no second look; what lacks is added to whatever it is by now.

        Too many references only keep a chunk for longer: they are told, and left.
        """
        held = self._holding(wrong)
        return tuple(
            Damage(
                self._collectivite_id,
                chunk_id,
                "references",
                held[chunk_id],
                counted < expected and self._database.write(partial(_raise, chunk_id, expected - counted)),
                counted,
                expected,
            )
            for chunk_id, (counted, expected) in wrong.items()
        )

    def _judged(self, ids: Iterable[bytes]) -> tuple[Damage, ...]:
        found: dict[bytes, tuple[Why, bool]] = {}
        for chunk_id in ids:
            row = self._row(chunk_id)
            if row is None or (state := self._objects.judge(chunk_id, *row)) == "sound":
                continue
            row = self._row(chunk_id)  # it may have been collected while it was opened
            if row is not None:
                found[chunk_id] = (state, self._repaired(chunk_id, *row))
        held = self._holding(found)
        return tuple(
            Damage(self._collectivite_id, chunk_id, why, held[chunk_id], repaired)
            for chunk_id, (why, repaired) in found.items()
        )

    def _row(self, chunk_id: bytes) -> tuple[int, bytes | None] | None:
        with self._database.reading() as reading:
            row = reading.one("SELECT length, sealed FROM chunk WHERE id = ?", (chunk_id,))
        return (row[0], row[1]) if row else None

    def _repaired(self, chunk_id: bytes, length: int, sealed: bytes | None) -> bool:
        copy = self._copies.fetch(chunk_id)
        if copy is None or self._objects.judge(chunk_id, length, copy) != "sound":
            return False
        if sealed is None:
            self._objects.replace(chunk_id, copy)
            return self._objects.judge(chunk_id, length, None) == "sound"
        return self._database.write(
            lambda w: (
                w.run("UPDATE chunk SET sealed = ? WHERE id = ? AND sealed IS NOT NULL", (copy, chunk_id))
                == 1
            )
        )

    def _holding(self, ids: Iterable[bytes]) -> dict[bytes, tuple[Held, ...]]:
        wanted = set(ids)
        out: dict[bytes, list[Held]] = {one: [] for one in wanted}
        if wanted:
            with self._database.reading() as reading:
                for node_id, version, manifest in _manifests(reading):
                    for chunk_id in wanted & {one.id for one in Manifest.unpack(manifest).chunks}:
                        path = path_of(reading, node_id) if node_id else ""
                        out[chunk_id].append(Held(node_id, path, version))
        return {one: tuple(held) for one, held in out.items()}


def _raise(chunk_id: bytes, by: int, writing: Writing) -> bool:
    return writing.run("UPDATE chunk SET refs = refs + ?, loose_s = NULL WHERE id = ?", (by, chunk_id)) == 1


def _fits(row: tuple[int, int, bool], object_bytes: int | None) -> bool:
    """``row``: references, length of the object (0: not known), whether it lies with the metadata."""
    _, stored_bytes, is_inline = row
    return is_inline or (object_bytes is not None and stored_bytes in (0, object_bytes))


def _slice(chunk_id: bytes, slices: int) -> int:
    return int.from_bytes(chunk_id[:2]) * slices >> 16


def _count(reading: Reading) -> int:
    row = reading.one("SELECT COUNT(*) FROM chunk")
    return int(row[0]) if row else 0


def _chunks(reading: Reading) -> Iterator[tuple[bytes, int, int, bool]]:
    after = b""
    while rows := reading.all(
        "SELECT id, refs, stored_bytes, CASE WHEN sealed IS NULL THEN 0 ELSE 1 END FROM chunk"
        " WHERE id > ? ORDER BY id LIMIT ?",
        (after, PAGE),
    ):
        yield from ((row[0], row[1], row[2], bool(row[3])) for row in rows)
        after = rows[-1][0]


def _referred(reading: Reading) -> Iterator[bytes]:
    for _, _, manifest in _manifests(reading):
        yield from (one.id for one in Manifest.unpack(manifest).chunks)


_KEPT: tuple[LiteralString, ...] = (
    "SELECT id, 0, 0, manifest FROM node WHERE is_folder = 0 AND (id > ? OR (id = ? AND 0 > ?))"
    " ORDER BY id LIMIT ?",
    "SELECT node, etag, etag, manifest FROM version WHERE (node > ? OR (node = ? AND etag > ?))"
    " ORDER BY node, etag LIMIT ?",
)


def _manifests(reading: Reading) -> Iterator[tuple[int, int, bytes]]:
    """(node, version or 0, manifest) of everything that is kept."""
    for sql in _KEPT:
        first, second = 0, 0
        while rows := reading.all(sql, (first, first, second, PAGE)):
            yield from ((row[0], row[1], row[3]) for row in rows)
            first, second = rows[-1][0], rows[-1][2]
    upload, number = "", 0
    while rows := reading.all(
        "SELECT upload, number, manifest FROM part WHERE upload > ? OR (upload = ? AND number > ?)"
        " ORDER BY upload, number LIMIT ?",
        (upload, upload, number, PAGE),
    ):
        yield from ((0, 0, row[2]) for row in rows)
        upload, number = rows[-1][0], rows[-1][1]
