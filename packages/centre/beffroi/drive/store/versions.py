"""Earlier contents of a file: shown, brought back, deleted, thinned as they grow old.

Rule:    a version that is brought back stays in the list, for it is what was there then; its chunks are shared.
         One that a person deletes is gone at once, for everybody; of its chunks those that nothing else refers to are
         collected. That it was deleted is kept as long as changes are (``version_erased``): a folder's past says so.
Errors:  VersionAbsent, AbsentNode; bringing back: those of ``tree.put``; deleting: Sealed, Locked, Frozen.
Source:  docs/internals/drive.md.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import partial
from typing import LiteralString, NamedTuple

from beffroi.drive.store import frozen, look, moments, refs, seals, tree
from beffroi.drive.store.database import Database
from beffroi.drive.store.frozen import Frozen
from beffroi.drive.store.locks import require
from beffroi.drive.store.model import AbsentNode, Act, Content, Node, Weight
from beffroi.drive.store.room import afford
from beffroi.drive.store.writing import Reading, Writing

HOUR_S, DAY_S, WEEK_S = 3600, 86400, 7 * 86400
QUARTER_S = 91 * DAY_S
MOST_THINNED = 200
_ROWS: LiteralString = (
    "SELECT node, etag, size_bytes, mtime_s, sha1, sha256, manifest, replaced_s FROM version WHERE node = ?"
)

_ERASED: LiteralString = "SELECT node, etag FROM version_erased WHERE node IN ("


class VersionAbsent(AbsentNode):
    """This version is not there any more: it was deleted, or had grown too old."""

    code = "drive.version_absent"


class Version(NamedTuple):
    """A row of ``version``, in this order. ``etag``: the file's while this was its content; ``replaced_s``: when it
    stopped to be."""

    node: int
    etag: int
    size_bytes: int
    mtime_s: int
    sha1: str
    sha256: str
    manifest: bytes
    replaced_s: int

    def of(self, node: Node) -> Node:
        """The file as it was with this content."""
        kept = self._asdict()
        names = ("etag", "size_bytes", "mtime_s", "sha1", "sha256", "manifest")
        return node._replace(**{name: kept[name] for name in names})


def of(database: Reading, node_id: int) -> list[Version]:
    """Newest first."""
    return [Version(*row) for row in database.all(_ROWS + " ORDER BY etag DESC", (node_id,))]


def find(database: Reading, node_id: int, etag: int) -> Version:
    """``etag``: whatever somebody sent. Errors: VersionAbsent."""
    row = database.one(_ROWS + " AND etag = ?", (node_id, etag)) if 0 < etag < 1 << 63 else None
    if row is None:
        raise VersionAbsent("version")
    return Version(*row)


def restore(writing: Writing, act: Act, node_id: int, etag: int) -> Node:
    """It becomes the present content, with its time of change; the present one becomes a version."""
    version, present = find(writing, node_id, etag), tree.movable(writing, node_id)
    require(writing, act, present)
    afford(writing, present.parent, tree.replacing(present, version.size_bytes))
    refs.share(writing, version.manifest)
    content = Content(version.size_bytes, version.sha1, version.sha256, version.manifest)
    return tree.replace(writing, act, present, content, mtime_s=version.mtime_s)


def deletable(writing: Writing, act: Act, node_id: int, etag: int) -> Version:
    """One that ``delete`` would take. Errors: its."""
    version = find(writing, node_id, etag)
    require(writing, act, tree.node_at(writing, node_id))
    decision_id = frozen.decision_of(writing, version.sha256)
    if decision_id:  # it may end, and what it held is not gone before somebody could look at it
        raise Frozen(decision_id)
    return version


def delete(writing: Writing, act: Act, node_id: int, etag: int) -> None:
    """For good. Errors: VersionAbsent, Sealed, Locked, Frozen."""
    _drop(writing, deletable(writing, act, node_id, etag), now_s=act.now_s)
    writing.run("INSERT INTO version_erased (node, etag, at_s) VALUES (?, ?, ?)", (node_id, etag, act.now_s))


def erased(database: Reading, wanted: Collection[tuple[int, int]]) -> set[tuple[int, int]]:
    """Those of these (node, etag) whose content somebody deleted."""
    if not wanted:
        return set()
    nodes = [node_id for node_id, _ in wanted]
    places = "?, " * (len(nodes) - 1) + "?"
    rows = database.all(_ERASED + places + ")", nodes)
    return {(row[0], row[1]) for row in rows}.intersection(wanted)


def forget_erased(writing: Writing, *, before_s: int) -> None:
    """That some were deleted before a time; nobody looks so far back any more."""
    writing.run("DELETE FROM version_erased WHERE at_s < ?", (before_s,))


def spare(versions: Iterable[tuple[int, int]], *, now_s: int, keep_s: int) -> set[int]:
    """Which versions of one file go: etags of the (etag, replaced_s) given. Pure.

    Kept are: of the last day all, of the last week what a file held when each hour began, of the last quarter (13
    weeks) when each day did, then when each week did (Monday, UTC): what was replaced first within it. So what stood
    for months outlives what stood for a minute after it. None that was replaced more than ``keep_s`` ago.
    An hour lies within its day, a day within its week: what one step keeps as the first, the step after finds.
    """
    first: dict[tuple[int, int], tuple[int, int]] = {}
    gone: set[int] = set()
    for etag, replaced_s in versions:
        age_s = now_s - replaced_s
        if age_s > keep_s:
            gone.add(etag)
        elif age_s > DAY_S:
            key, one = _bucket(replaced_s, age_s), (replaced_s, etag)
            other = first.setdefault(key, one)
            if other != one:
                gone.add(max(other, one)[1])
                first[key] = min(other, one)
    return gone


def _bucket(replaced_s: int, age_s: int) -> tuple[int, int]:
    if age_s <= WEEK_S:
        return HOUR_S, replaced_s // HOUR_S
    if age_s <= QUARTER_S:
        return DAY_S, replaced_s // DAY_S
    return WEEK_S, (replaced_s // DAY_S + 3) // 7  # 1970 began on a Thursday


class Since(NamedTuple):
    """Numbers from which on nothing was done before a day ago, and before the term of versions."""

    day: int = 1 << 62
    term: int = 1 << 62


def thin(
    writing: Writing,
    *,
    now_s: int,
    keep_s: int,
    till_s: int,
    since: Since,
    after: int = 0,
    most: int = MOST_THINNED,
) -> int | None:
    """Apply ``spare`` to the next ``most`` files that have versions, from node ``after`` on; return the last one of
    them, None after the last of all. Those of what is sealed stay, and what was replaced ``since``. ``till_s``: to when
    their ages are counted."""
    looking = seals.Looking(writing)
    files = writing.all(
        "SELECT DISTINCT node FROM version WHERE node > ? ORDER BY node LIMIT ?", (after, most)
    )
    for (node_id,) in files:
        one = look.node(writing, node_id)
        if one is not None and looking.reach(one) == "inside":
            continue
        versions = of(writing, node_id)
        gone = spare([(one.etag, one.replaced_s) for one in versions], now_s=till_s, keep_s=keep_s)
        next_etag = one.etag if one is not None else 0
        for version in versions:
            first = since.term if till_s - version.replaced_s > keep_s else since.day
            if version.etag in gone and not (next_etag >= first and _is_replaced(writing, version, first)):
                _drop(writing, version, now_s=now_s)
            next_etag = version.etag
    return files[-1][0] if len(files) == most else None


def thin_all(database: Database, *, now_s: int, keep_s: int, till_s: int | None = None) -> None:
    """All files, in as many changes as it takes: others write between them. As ``thin``; ``till_s`` None: now."""
    till_s = now_s if till_s is None else till_s
    with database.reading() as reading:
        since = Since(*(moments.first_since(reading, till_s - age_s, now_s) for age_s in (DAY_S, keep_s)))
    after: int | None = 0
    while after is not None:
        after = database.write(
            partial(thin, now_s=now_s, keep_s=keep_s, till_s=till_s, since=since, after=after)
        )


def _is_replaced(database: Reading, version: Version, first: int) -> bool:
    """Whether that is among the changes from a number on: what says another time does so by a wrong clock."""
    row = database.one(
        "SELECT 1 FROM change WHERE node = ? AND number >= ? AND kind = 'changed' AND etag_before = ?",
        (version.node, first, version.etag),
    )
    return row is not None


def _drop(writing: Writing, version: Version, *, now_s: int) -> None:
    row = writing.one("SELECT parent FROM node WHERE id = ?", (version.node,))
    if row is not None:
        writing.weigh(row[0], Weight(0, -1, -version.size_bytes))
    writing.run("DELETE FROM version WHERE node = ? AND etag = ?", (version.node, version.etag))
    refs.drop(writing, version.manifest, now_s=now_s)
