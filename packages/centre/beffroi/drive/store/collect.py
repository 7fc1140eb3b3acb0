"""Collection of what nobody needs: chunks without a reference, and objects that no row knows; both a day old.

Purpose: the disk is given back, and never a chunk that a kept manifest names, or a writer's commit will name.
Rule:    the row goes first, the object after it, and ``doomed`` remembers between and afterwards:
           1. one change: the rows of loose chunks are deleted, and each that lies in the objects is written to
              ``doomed`` (gone = 0). So is an object without a row, unless it stands there already; both are asked in
              the same change.
           2. the objects are deleted.
           3. one change: ``gone`` becomes a number, taken after all of this run's deletions.
           4. days later the entry goes, and meta ``forgotten`` becomes the highest number that went.
         A writer keeps the number of the picture in which it began (``Content.since``), and its commit (``refs.add``)
         takes a chunk for present only if its row is, or if it wrote the object and no deletion of it can have come
         later: there is no entry with gone = 0 or gone > since, and forgotten <= since. Else it is told to send again.
         So no clock decides what is safe: the day of grace only makes that answer rare.
Crash:   after 1 or 2: the entry stands and its chunk is refused to writers until ``finish`` says that no deletion of it
         is under way, after ``REDO_AFTER_S``, so that a process that only seems dead has sent its last one. From then
         on writers may write the object anew; one that nobody did is unknown, and a later run dooms it again.
Fails:   the same for an object that cannot be deleted: it stops no other, and its deletion may still be under way.
         Where failures took ``PATIENCE_S``, the store itself is away: the run ends with the error.
Source:  docs/internals/drive.md, "Collection".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import batched
from typing import NamedTuple, Protocol

from beffroi.drive.store.database import Database
from beffroi.drive.store.scalars import keep_meta, meta_number, scalar
from beffroi.drive.store.writing import Writing
from beffroi.lib import clock
from beffroi.lib.errors import BeffroiError

GRACE_S = 86400
REDO_AFTER_S = 600
REMEMBERED_S = 7 * 86400
MOST_COLLECTED = 500
PATIENCE_S = 120


class Stored(NamedTuple):
    """One object of a collectivité. ``age_s``: since it was last written."""

    chunk_id: bytes
    size_bytes: int
    age_s: float


class Objects(Protocol):
    """What collection needs of the objects of one collectivité. Errors: Unavailable, StoreUnavailable."""

    def list(self) -> Iterator[Stored]: ...
    def delete(self, chunk_id: bytes) -> None:
        """No error where there is none. When it returns, the object is gone and no later write can be undone by it."""


@dataclass(frozen=True)
class Collected:
    """``inline``: chunks that lay with the metadata; ``objects``: deleted files or keys of the object store.

    ``kept``: objects that could not be deleted, ``code``: of the first one's error.
    """

    inline: int
    objects: int
    kept: int = 0
    code: str = ""

    def __add__(self, other: Collected) -> Collected:
        return Collected(
            self.inline + other.inline,
            self.objects + other.objects,
            self.kept + other.kept,
            self.code or other.code,
        )


def run(database: Database, objects: Objects, *, now_s: int) -> Collected:
    """One whole run, in as many changes as it takes; only one process at a time runs it for a collectivité.

    Errors: Unavailable, StoreUnavailable, StoreFull.
    """
    began_s = clock.steady_s()

    def at_s() -> int:
        return now_s + int(clock.steady_s() - began_s)

    finish(database, now_s=now_s)
    found = Collected(0, 0)
    more = True
    while more:
        taken, without = database.write(lambda w: doom_loose(w, now_s=at_s()))
        found += delete(database, objects, taken, now_s=at_s()) + Collected(without, 0)
        more = len(taken) + without == MOST_COLLECTED
    old = (one.chunk_id for one in objects.list() if one.age_s > GRACE_S)
    for ids in batched(old, MOST_COLLECTED, strict=False):
        taken = database.write(lambda w, ids=ids: doom_unknown(w, ids, now_s=at_s()))  # type: ignore[misc]
        found += delete(database, objects, taken, now_s=at_s())
    database.write(lambda w: forget(w, now_s=now_s))
    return found


def doom_loose(writing: Writing, *, now_s: int) -> tuple[list[bytes], int]:
    """Step 1 for loose chunks: (those whose objects are to be deleted, how many lay with the metadata)."""
    rows = writing.all(
        "SELECT id, CASE WHEN sealed IS NULL THEN 0 ELSE 1 END FROM chunk WHERE loose_s < ? AND refs = 0 LIMIT ?",
        (now_s - GRACE_S, MOST_COLLECTED),
    )
    writing.many("DELETE FROM chunk WHERE id = ?", [(row[0],) for row in rows])
    doomed = [row[0] for row in rows if not row[1]]
    _doom(writing, doomed, now_s=now_s)
    return doomed, len(rows) - len(doomed)


def doom_unknown(writing: Writing, ids: Iterable[bytes], *, now_s: int) -> list[bytes]:
    """Step 1 for objects that were listed: those of them that no row knows, and no deletion that has not ended."""
    unknown = [
        one
        for one in ids
        if writing.one("SELECT 1 FROM chunk WHERE id = ?", (one,)) is None
        and writing.one("SELECT 1 FROM doomed WHERE id = ? AND gone = 0", (one,)) is None
    ]
    _doom(writing, unknown, now_s=now_s)
    return unknown


def delete(database: Database, objects: Objects, ids: Sequence[bytes], *, now_s: int) -> Collected:
    """Steps 2 and 3, as far as objects can be deleted. Errors: the store's, where it is away."""
    began_s, lost_s = clock.steady_s(), 0.0
    deleted: list[bytes] = []
    failed: dict[bytes, BeffroiError] = {}
    for one in ids:
        asked_s = clock.steady_s()
        try:
            objects.delete(one)
        except BeffroiError as error:
            failed[one] = error
            lost_s += clock.steady_s() - asked_s
            if lost_s > PATIENCE_S:
                break
        else:
            deleted.append(one)
    ended_s = now_s + int(clock.steady_s() - began_s)
    if ids:
        database.write(lambda w: _tried(w, deleted, list(failed), now_s=ended_s))
    if lost_s > PATIENCE_S:
        raise next(reversed(failed.values()))
    code = next(iter(failed.values())).code if failed else ""
    return Collected(0, len(deleted), len(failed), code)


def finish(database: Database, *, now_s: int) -> None:
    """What a run left, done or not, is over. Each hour, and before each run; nobody collects meanwhile."""
    with database.reading() as reading:
        rows = reading.all("SELECT id FROM doomed WHERE gone = 0 AND since_s < ?", (now_s - REDO_AFTER_S,))
    if rows:
        database.write(lambda w: _tried(w, [row[0] for row in rows], (), now_s=now_s))


def forget(writing: Writing, *, now_s: int) -> None:
    """Step 4."""
    end = now_s - REMEMBERED_S
    gone = scalar(writing, "SELECT MAX(gone) FROM doomed WHERE gone > 0 AND since_s < ?", (end,))
    if gone is None:
        return
    writing.run("DELETE FROM doomed WHERE gone > 0 AND since_s < ?", (end,))
    keep_meta(writing, "forgotten", max(gone, meta_number(writing, "forgotten") or 0))


def _doom(writing: Writing, ids: Sequence[bytes], *, now_s: int) -> None:
    writing.many("DELETE FROM doomed WHERE id = ?", [(one,) for one in ids])
    writing.many("INSERT INTO doomed (id, since_s, gone) VALUES (?, ?, 0)", [(one, now_s) for one in ids])


def _tried(writing: Writing, deleted: Sequence[bytes], failed: Sequence[bytes], *, now_s: int) -> None:
    """``now_s``: after the last deletion that was asked for."""
    if deleted:
        number = writing.number()
        writing.many("UPDATE doomed SET gone = ? WHERE id = ?", [(number, one) for one in deleted])
    writing.many("UPDATE doomed SET since_s = ? WHERE id = ?", [(now_s, one) for one in failed])
