"""A key of a collectivité's files is replaced: all is sealed anew under the next one, then the old one is destroyed.

Purpose: a key that was copied opens only what was copied with it; a term for each key is what auditors ask for.
Rule:    ``Keys.rotate`` adds a generation, which seals from then on. Then, each in small steps:
           1. began: the number N of the picture from which on all is sealed by the new key.
           2. sealing: every chunk, by its name: what an older key sealed is sealed anew, in its place.
           3. waiting: a day since 1, so that who wrote then has ended.
           4. proving: ``sealed_since`` = N is written; from then on no commit brings a chunk that was sealed before N
              (``refs.add``: ChunkVanished, the client sends again; small ones are sealed in the commit). Then every
              chunk's header is read: what is older still is sealed anew, and counted.
           5. A walk that counted none, while no backup needs it, ends the old keys: ``Keys.destroy_before``, once it
              is on record (``ending``).
         Where a chunk cannot be opened, the keys stay: it may come back from a backup, sealed by an old one.
Crash:   after any step the next one begins with what is in ``meta``; sealing twice changes nothing. Metadata of an
         earlier moment take up what they say, or begin anew: keys.json says whether anything is to be done.
Source:  docs/internals/drive.md, "Replacing a key"; NIST SP 800-57, part 1, 5.3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, LiteralString, NamedTuple

import msgspec
from beffroi_protocol.errors import UNDECODABLE

from beffroi.drive.store.database import Database
from beffroi.drive.store.keys import Keys, WrappedKey
from beffroi.drive.store.objects import ObjectMissing
from beffroi.drive.store.scalars import keep_meta, meta, scalar
from beffroi.drive.store.sealing import ObjectDamaged
from beffroi.drive.store.stock import Stock
from beffroi.drive.store.writing import Reading, Row, Writing

QUIET_S = 86400
"""Between the new key and the proof: uploads that began before have ended."""
MOST_RESEALED = 32
"""Chunks a step: at most 128 MiB are read and written."""
MOST_LOOKED_AT = 500
_META = "resealing"
_COUNT: LiteralString = "SELECT COUNT(*) FROM chunk"

type Phase = Literal["sealing", "waiting", "proving", "kept_by_backup", "unreadable"]


class Progress(msgspec.Struct):
    """In ``meta``. ``generation``: the key that all is to be sealed by; ``since``: N; ``at``: last chunk of the walk
    (hex); ``done``, ``total``: chunks of the walk; ``older``, ``unreadable``: what the proving walk counted."""

    generation: int
    since: int
    began_s: int
    phase: Phase = "sealing"
    at: str = ""
    done: int = 0
    total: int = 0
    older: int = 0
    unreadable: int = 0


class Step(NamedTuple):
    """``progress`` None: nothing is left to do. ``size_bytes``: what was sealed; ``destroyed``: the keys that are no
    more; ``rests``: the next step is not before a minute."""

    progress: Progress | None
    size_bytes: int = 0
    destroyed: tuple[WrappedKey, ...] = ()
    rests: bool = False


class Resealing:
    """Of one collectivité; one process at a time takes steps. ``needed``: generations that backups hold. ``ending``:
    called with each key before it is destroyed; its error keeps the key."""

    def __init__(
        self,
        database: Database,
        stock: Stock,
        keys: Keys,
        needed: Callable[[], set[int]] = set,
        ending: Callable[[WrappedKey], object] = lambda one: None,
    ) -> None:
        self._database, self._stock, self._keys = database, stock, keys
        self._needed, self._ending = needed, ending

    def step(self, *, now_s: int) -> Step:
        """Errors: those of the metadata, of the keys, of the objects."""
        generations = self._keys.generations()
        with self._database.reading() as reading:
            progress = read(reading)
        if len(generations) < 2:
            if progress is not None:
                self._database.write(_forget)
            return Step(None, rests=True)
        target = generations[-1].number
        if progress is None or progress.generation != target:
            return Step(self._database.write(lambda writing: _begin(writing, target, now_s)))
        match progress.phase:
            case "sealing":
                return self._seal(progress)
            case "proving":
                return self._prove(progress)
            case "kept_by_backup" if any(one < target for one in self._needed()):
                return Step(progress, rests=True)
            case "waiting" if 0 <= now_s - progress.began_s < QUIET_S:
                return Step(progress, rests=True)
            case "unreadable" if 0 <= now_s - progress.began_s < QUIET_S:
                return Step(progress, rests=True)
        return Step(self._database.write(lambda writing: _begin_proof(writing, progress)))

    def _seal(self, progress: Progress) -> Step:
        rows = self._next(progress, MOST_RESEALED)
        size_bytes = sum(self._sealed(row, progress.generation)[1] for row in rows)
        return Step(self._walked(progress, rows, MOST_RESEALED, after="waiting"), size_bytes)

    def _prove(self, progress: Progress) -> Step:
        rows = self._next(progress, MOST_LOOKED_AT)
        size_bytes = 0
        for row in rows:
            state, sealed_bytes = self._sealed(row, progress.generation)
            progress.older += state == "older"
            progress.unreadable += state == "unreadable"
            size_bytes += sealed_bytes
        if len(rows) == MOST_LOOKED_AT:
            return Step(self._walked(progress, rows, MOST_LOOKED_AT, after="proving"), size_bytes)
        if progress.older:
            return Step(self._database.write(lambda writing: _begin_proof(writing, progress)), size_bytes)
        if progress.unreadable or any(one < progress.generation for one in self._needed()):
            progress.phase = "unreadable" if progress.unreadable else "kept_by_backup"
            return Step(self._kept(progress), size_bytes, rests=True)
        for one in self._keys.generations():
            if one.number < progress.generation:
                self._ending(one)
        destroyed = self._keys.destroy_before(progress.generation)
        self._database.write(_forget)
        return Step(None, size_bytes, destroyed)

    def _next(self, progress: Progress, most: int) -> list[Row]:
        with self._database.reading() as reading:
            return reading.all(
                "SELECT id, sealed FROM chunk WHERE id > ? ORDER BY id LIMIT ?",
                (bytes.fromhex(progress.at), most),
            )

    def _sealed(self, row: Row, generation: int) -> tuple[Literal["new", "older", "unreadable"], int]:
        """What it was; how many bytes were sealed anew."""
        chunk_id, inline = bytes(row[0]), None if row[1] is None else bytes(row[1])
        try:
            if self._stock.generation(chunk_id, inline) == generation:
                return "new", 0
            made = self._stock.reseal(chunk_id, inline)
        except (ObjectDamaged, ObjectMissing):
            # Collected meanwhile, or damaged: only what is still referred to stands in the way.
            return ("unreadable" if self._is_there(chunk_id) else "new"), 0
        if made is None:  # by a key that is newer still: the next step begins anew
            return "new", 0
        if inline is None:
            self._stock.replace(chunk_id, made)
        self._database.write(lambda writing: _note(writing, chunk_id, inline, made))
        return "older", len(made)

    def _is_there(self, chunk_id: bytes) -> bool:
        with self._database.reading() as reading:
            return reading.one("SELECT 1 FROM chunk WHERE id = ?", (chunk_id,)) is not None

    def _walked(self, progress: Progress, rows: Sequence[Row], most: int, *, after: Phase) -> Progress:
        progress.done += len(rows)
        progress.at = bytes(rows[-1][0]).hex() if rows else progress.at
        if len(rows) < most:
            progress.phase, progress.at = after, ""
        return self._kept(progress)

    def _kept(self, progress: Progress) -> Progress:
        self._database.write(lambda writing: keep(writing, progress))
        return progress


def read(reading: Reading) -> Progress | None:
    return decoded(meta(reading, _META))


def decoded(text: str | None) -> Progress | None:
    try:
        found = msgspec.json.decode(text, type=Progress) if text is not None else None
        bytes.fromhex(found.at if found is not None else "")
    except UNDECODABLE:
        return None
    return found


def keep(writing: Writing, progress: Progress) -> None:
    keep_meta(writing, _META, msgspec.json.encode(progress).decode())


def _begin(writing: Writing, generation: int, now_s: int) -> Progress:
    made = Progress(generation, writing.number(), now_s, total=scalar(writing, _COUNT))
    keep(writing, made)
    return made


def _begin_proof(writing: Writing, progress: Progress) -> Progress:
    keep_meta(writing, "sealed_since", progress.since)
    progress.phase, progress.at = "proving", ""
    progress.done = progress.older = progress.unreadable = 0
    progress.total = scalar(writing, _COUNT)
    keep(writing, progress)
    return progress


def _note(writing: Writing, chunk_id: bytes, before: bytes | None, made: bytes) -> None:
    if before is None:
        writing.run(
            "UPDATE chunk SET stored_bytes = ? WHERE id = ? AND sealed IS NULL", (len(made), chunk_id)
        )
    else:
        writing.run("UPDATE chunk SET sealed = ? WHERE id = ? AND sealed IS NOT NULL", (made, chunk_id))


def _forget(writing: Writing) -> None:
    writing.run("DELETE FROM meta WHERE name = ?", (_META,))
