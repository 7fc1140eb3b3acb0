"""Is everything there, and is it what it says? Two gentle walks that can stop at any step and go on from a cursor.

Purpose: light, each day: the list of chunks of every content is whole, their references add up, and each has its
         object of its length.
         deep, each week: every chunk is opened, and its content has its name.
Rule:    one walk of a kind at a time. It is a row of steps; between two of them others work. A doubt is looked at
         again in a new picture, and opened, before it is called damage: rows and objects are not seen at one moment.
         What is damaged is fetched from another copy where there is one (``Copies``), proved, and put in its place.
         What has none is no content to share any more (``refs.known``): who sends it again mends it.
Hostile: what is stored; a copy is not believed either.
Fails:   a store that does not answer ends the step (its error); the cursor stays where it was.
Source:  docs/internals/drive.md, "Scrubbing".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Literal, LiteralString, NamedTuple, Protocol

from beffroi.drive.store import refs
from beffroi.drive.store.collect import Stored
from beffroi.drive.store.database import Database
from beffroi.drive.store.look import path_of
from beffroi.drive.store.manifest import Chunk, Manifest, ManifestBroken
from beffroi.drive.store.scalars import scalar
from beffroi.drive.store.writing import Reading, Writing

PAGE = 1000
CHUNKS_A_SLICE = 200_000
MOST_OPENED = 100

type State = Literal["sound", "missing", "damaged"]
type Why = Literal["references", "manifest", "missing", "damaged"]


class Objects(Protocol):
    """What a walk needs of the objects of one collectivité. Errors: Unavailable."""

    def list(self) -> Iterator[Stored]: ...
    def judge(self, chunk_id: bytes, length: int, sealed: bytes | None) -> State:
        """Open the chunk, as it lies in the objects or is given (``sealed``), and compare its content with its name."""

    def replace(self, chunk_id: bytes, sealed: bytes) -> None:
        """Put an object in the place of a damaged or missing one."""


class Copies(Protocol):
    """Where good copies may be: a replica, a backup. What is asked for at once is looked for once."""

    def objects(self, wanted: Collection[bytes]) -> Iterator[tuple[bytes, bytes]]:
        """(name, sealed chunk) of those that there are, unproved."""

    def inline(self, wanted: Collection[bytes]) -> Iterator[tuple[bytes, bytes]]:
        """The same of chunks that lie with the metadata."""

    def manifests(self, wanted: Collection[Kept]) -> Generator[tuple[Kept, bytes]]:
        """What is said to be the list of a content, unproved; of one, perhaps several."""


class NoCopies:
    def objects(self, wanted: Collection[bytes]) -> Iterator[tuple[bytes, bytes]]:
        return iter(())

    def inline(self, wanted: Collection[bytes]) -> Iterator[tuple[bytes, bytes]]:
        return iter(())

    def manifests(self, wanted: Collection[Kept]) -> Generator[tuple[Kept, bytes]]:
        yield from ()


class Kept(NamedTuple):
    """A content that is kept. ``version``: its etag, 0 for the present one; of a part of an upload: node 0."""

    node: int
    version: int
    size_bytes: int
    sha256: str


class Held(NamedTuple):
    """What holds a damaged chunk. ``path``: from its root; ``version``: its etag, 0 for the present content; of a part
    of an upload: node 0."""

    node: int
    path: str
    version: int


@dataclass(frozen=True)
class Damage:
    """``references``: another count than there are; nothing is lost by that alone. ``manifest``: the list of a content
    is no list, or names what is not known here; its ``chunk_id`` says which (node, version)."""

    collectivite_id: str
    chunk_id: bytes
    why: Why
    held: tuple[Held, ...]
    is_repaired: bool


class Cursor(NamedTuple):
    """Of the light walk: the next slice of ``slices``; chunks belong to one by their first two bytes. ``doubtful``:
    slices whose references do not add up, as the first step saw it."""

    slice: int
    slices: int
    doubtful: frozenset[int]


@dataclass(frozen=True)
class Step[C]:
    """``cursor``: where to go on; None: the walk is at its end."""

    cursor: C | None
    damages: tuple[Damage, ...]


class Scrub:
    """The walks of one collectivité. Any process may take a step; nothing is kept here."""

    def __init__(
        self, collectivite_id: str, database: Database, objects: Objects, copies: Copies | None = None
    ) -> None:
        self._collectivite_id, self._database, self._objects = collectivite_id, database, objects
        self._copies: Copies = copies or NoCopies()

    def light(self, cursor: Cursor | None = None) -> Step[Cursor]:
        """One slice; so many that the chunks of one fit into little memory. ``cursor`` None: the first, which also
        reads all lists of chunks; others read them only where something does not add up."""
        broken = set[Kept]()
        with self._database.reading() as reading:
            if cursor is None:
                slices = 1 + scalar(reading, "SELECT COUNT(*) FROM chunk") // CHUNKS_A_SLICE
                doubtful, broken = _surveyed(reading, slices)
                cursor = Cursor(0, slices, doubtful)
            at = cursor
            rows = {one.id: one for one in _chunks(reading, *_bounds(at))}
            expected: Mapping[bytes, int] = {chunk_id: row.refs for chunk_id, row in rows.items()}
            if at.slice in at.doubtful:
                expected, unlisted = _counted(reading, rows, at)
                broken |= unlisted
        there = {one.chunk_id: one.size_bytes for one in self._objects.list() if one.chunk_id in rows}
        wrong = {
            chunk_id: (row.refs, expected[chunk_id])
            for chunk_id, row in rows.items()
            if row.refs != expected[chunk_id]
        }
        doubts = [
            chunk_id
            for chunk_id, row in rows.items()
            if chunk_id in wrong or not _fits(row, there.get(chunk_id))
        ]
        step = at.slice + 1
        damages = self._unlisted(broken) + self._miscounted(wrong) + self._judged(doubts)
        return Step(at._replace(slice=step) if step < at.slices else None, damages)

    def deep(self, cursor: bytes = b"", *, most: int = MOST_OPENED) -> Step[bytes]:
        """Open the next ``most`` chunks by their names. ``cursor``: the last one that was opened."""
        with self._database.reading() as reading:
            rows = reading.all("SELECT id FROM chunk WHERE id > ? ORDER BY id LIMIT ?", (cursor, most))
        ids = [row[0] for row in rows]
        return Step(ids[-1] if len(ids) == most else None, self._judged(ids))

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
            )
            for chunk_id, (counted, expected) in wrong.items()
        )

    def _unlisted(self, broken: set[Kept]) -> tuple[Damage, ...]:
        repaired = set[Kept]()
        if lost := {one for one in broken if one.node}:
            with closing(self._copies.manifests(lost)) as copies:
                for one, manifest in copies:
                    if one not in repaired and self._database.write(partial(_relist, one, manifest)):
                        repaired.add(one)
                    if repaired == lost:
                        break
        with self._database.reading() as reading:
            return tuple(
                Damage(
                    self._collectivite_id,
                    one.node.to_bytes(8) + one.version.to_bytes(8),
                    "manifest",
                    (Held(one.node, path_of(reading, one.node) if one.node else "", one.version),),
                    one in repaired,
                )
                for one in sorted(broken)
            )

    def _judged(self, ids: Iterable[bytes]) -> tuple[Damage, ...]:
        found: dict[bytes, Why] = {}
        objects, inline, doubted = list[bytes](), list[bytes](), set[bytes]()
        for chunk_id in ids:
            row = self._row(chunk_id)
            if row is None:
                continue
            if row[2]:
                doubted.add(chunk_id)
            if (state := self._objects.judge(chunk_id, *row[:2])) == "sound":
                continue
            if self._row(chunk_id) is not None:  # it may have been collected while it was opened
                found[chunk_id] = state
                (objects if row[1] is None else inline).append(chunk_id)
        repaired = set[bytes]()
        for copies in (
            self._copies.objects(objects) if objects else (),
            self._copies.inline(inline) if inline else (),
        ):
            repaired |= {chunk_id for chunk_id, copy in copies if self._repaired(chunk_id, copy)}
        lost = found.keys() - repaired
        for change, those in ((refs.doubt, lost - doubted), (refs.believe, doubted - lost)):
            if those:
                self._database.write(partial(change, chunk_ids=those))
        back = repaired | (doubted - lost)
        held = self._holding(found.keys() | back)
        if again := {one.node for chunk_id in back for one in held[chunk_id] if one.node and not one.version}:
            self._database.write(partial(_read_again, again))
        return tuple(
            Damage(self._collectivite_id, chunk_id, why, held[chunk_id], chunk_id in repaired)
            for chunk_id, why in found.items()
        )

    def _row(self, chunk_id: bytes) -> tuple[int, bytes | None, bool] | None:
        """(length, as it is kept where it is inline, whether it was found damaged before)."""
        with self._database.reading() as reading:
            row = reading.one("SELECT length, sealed, stored_bytes FROM chunk WHERE id = ?", (chunk_id,))
        return (row[0], row[1], row[2] == refs.DAMAGED) if row else None

    def _repaired(self, chunk_id: bytes, copy: bytes) -> bool:
        row = self._row(chunk_id)
        if row is None or self._objects.judge(chunk_id, row[0], copy) != "sound":
            return False
        if row[1] is None:
            self._objects.replace(chunk_id, copy)
            return self._objects.judge(chunk_id, row[0], None) == "sound"
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
                for kept, manifest in _manifests(reading):
                    for chunk_id in wanted & {one.id for one in _listed(manifest) or ()}:
                        path = path_of(reading, kept.node) if kept.node else ""
                        out[chunk_id].append(Held(kept.node, path, kept.version))
        return {one: tuple(held) for one, held in out.items()}


def _raise(chunk_id: bytes, by: int, writing: Writing) -> bool:
    return writing.run("UPDATE chunk SET refs = refs + ?, loose_s = NULL WHERE id = ?", (by, chunk_id)) == 1


def _read_again(nodes: Iterable[int], writing: Writing) -> None:
    """By the index of words, which found them broken."""
    writing.many("INSERT INTO word_due (node) VALUES (?) ON CONFLICT DO NOTHING", [(one,) for one in nodes])


def _surveyed(reading: Reading, slices: int) -> tuple[frozenset[int], set[Kept]]:
    """(slices whose references do not add up, contents whose list is none or makes another size): everything is read
    once, and a number a slice kept. Each reference adds a number that its chunk and length alone have, and what rows
    count takes it away: nought is left by chance once in 2^61."""
    sums, broken = [0] * slices, set[Kept]()
    for row in _chunks(reading, b"", _END):
        sums[_slice(row.id, slices)] -= row.refs * hash((row.id, row.length))
    for kept, manifest in _manifests(reading):
        listed = _listed(manifest)
        if listed is None or sum(one.length for one in listed) != kept.size_bytes:
            broken.add(kept)
        for one in listed or ():
            sums[_slice(one.id, slices)] += hash((one.id, one.length))
    return frozenset(number for number, left in enumerate(sums) if left), broken


def _counted(reading: Reading, rows: dict[bytes, _Row], at: Cursor) -> tuple[Counter[bytes], set[Kept]]:
    """(references of the slice's chunks, contents that name what is not here)."""
    expected, broken = Counter[bytes](), set[Kept]()
    for kept, manifest in _manifests(reading):
        for one in _listed(manifest) or ():
            if _slice(one.id, at.slices) == at.slice:
                row = rows.get(one.id)
                if row is None or row.length != one.length:
                    broken.add(kept)
                if row is not None:
                    expected[one.id] += 1
    return expected, broken


def _listed(manifest: bytes) -> tuple[Chunk, ...] | None:
    try:
        return Manifest.unpack(manifest).chunks
    except ManifestBroken:
        return None


def _relist(one: Kept, manifest: bytes, writing: Writing) -> bool:
    """Put a list in the place of a broken one, where all that it names is here."""
    listed = _listed(manifest)
    if not one.node or listed is None or sum(each.length for each in listed) != one.size_bytes:
        return False
    for each in listed:
        row = writing.one("SELECT length FROM chunk WHERE id = ?", (each.id,))
        if row is None or row[0] != each.length:
            return False
    if one.version:
        sql: LiteralString = "UPDATE version SET manifest = ? WHERE node = ? AND size_bytes = ? AND etag = ?"
        return writing.run(sql, (manifest, one.node, one.size_bytes, one.version)) == 1
    _read_again([one.node], writing)
    sql = "UPDATE node SET manifest = ? WHERE id = ? AND size_bytes = ? AND sha256 = ?"
    return writing.run(sql, (manifest, one.node, one.size_bytes, one.sha256)) == 1


class _Row(NamedTuple):
    """Of ``chunk``. ``stored_bytes``: length of its object, 0 where it is not known, ``refs.DAMAGED``."""

    id: bytes
    refs: int
    length: int
    stored_bytes: int
    is_inline: bool


def _fits(row: _Row, object_bytes: int | None) -> bool:
    return row.is_inline or (object_bytes is not None and row.stored_bytes in (0, object_bytes))


def _slice(chunk_id: bytes, slices: int) -> int:
    return int.from_bytes(chunk_id[:2]) * slices >> 16


_END = b"\xff" * 33
"""After the name of every chunk."""


def _bounds(at: Cursor) -> tuple[bytes, bytes]:
    """Before and after the names of a slice's chunks."""
    first, end = (-(-((at.slice + one) << 16) // at.slices) for one in (0, 1))
    return first.to_bytes(2), end.to_bytes(2) if end < 1 << 16 else _END


def _chunks(reading: Reading, after: bytes, end: bytes) -> Iterator[_Row]:
    while rows := reading.all(
        "SELECT id, refs, length, stored_bytes, CASE WHEN sealed IS NULL THEN 0 ELSE 1 END FROM chunk"
        " WHERE id > ? AND id < ? ORDER BY id LIMIT ?",
        (after, end, PAGE),
    ):
        yield from (_Row(bytes(row[0]), row[1], row[2], row[3], bool(row[4])) for row in rows)
        after = rows[-1][0]


_KEPT: tuple[tuple[LiteralString, int], ...] = (
    (
        "SELECT id, 0, size_bytes, sha256, manifest FROM node WHERE id > ? AND is_folder = 0 ORDER BY id LIMIT ?",
        1,
    ),
    (
        "SELECT node, etag, size_bytes, sha256, manifest FROM version WHERE (node, etag) > (?, ?)"
        " ORDER BY node, etag LIMIT ?",
        2,
    ),
)
"""Each with how many columns are its key."""


def _manifests(reading: Reading) -> Iterator[tuple[Kept, bytes]]:
    """Of everything that is kept."""
    for sql, width in _KEPT:
        after = (0,) * width
        while rows := reading.all(sql, (*after, PAGE)):
            yield from ((Kept(*row[:4]), row[4]) for row in rows)
            after = rows[-1][:width]
    upload, number = "", 0
    while rows := reading.all(
        "SELECT upload, number, size_bytes, manifest FROM part WHERE (upload, number) > (?, ?)"
        " ORDER BY upload, number LIMIT ?",
        (upload, number, PAGE),
    ):
        yield from ((Kept(0, 0, row[2], ""), row[3]) for row in rows)
        upload, number = rows[-1][0], rows[-1][1]
