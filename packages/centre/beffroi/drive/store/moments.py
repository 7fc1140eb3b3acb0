"""A folder as it was at a time (the way back to it: ``ways``).

Rule:    what a node was at T stands in its first row of ``change`` after T (``parent`` to ``mtime_s`` are as before);
         one without such a row is as it was. Its content then: the version that its first replacement after T made, or
         the present one. So a view of a folder costs what lies in it and what left it since, not what there is nor what
         changed elsewhere.
         What was destroyed since, or deleted for good, is listed, and cannot be opened (``Past.is_kept``).
         A folder is looked at as it was only where it lay under the root that it lies under now (``seen``): what
         somebody took out of their own files before they moved a folder to their colleagues' stays theirs.
Errors:  AbsentNode, MomentAbsent, MomentPrivate, MomentForgotten.
Source:  docs/internals/drive.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import LiteralString, NamedTuple

from beffroi.drive.store import names, schema
from beffroi.drive.store.look import above, root
from beffroi.drive.store.model import AbsentNode, Content
from beffroi.drive.store.scalars import keep_meta, meta_number, scalar
from beffroi.drive.store.writing import Reading, Row, Writing
from beffroi.lib.errors import BeffroiError

MOST_FORGOTTEN = 5000
APART_S = 86400
_FAR = 1 << 62
_AS_IT_IS = 0
_OUT_OF_SIGHT = (schema.TRASH, schema.GONE)


class MomentForgotten(BeffroiError):
    """So far back, nothing is known any more; choose a later time."""

    code = "drive.moment_forgotten"
    http_status = 410


class MomentAbsent(AbsentNode):
    """This folder was not there then; choose another time."""

    code = "drive.moment_absent"


class MomentPrivate(BeffroiError):
    """This folder lay among other files then, whose past is not shown here; choose a later time."""

    code = "drive.moment_private"
    http_status = 410


class Past(NamedTuple):
    """A node as it was. ``etag``: of what was its content then: its own while ``is_present``, else of one of its
    versions. ``size_bytes`` of a folder: 0. ``is_kept``: it can be opened still (a folder: always)."""

    node: int
    parent: int
    name: str
    is_folder: bool
    size_bytes: int
    mtime_s: int
    etag: int
    is_present: bool
    is_kept: bool


class Moment:
    """One picture's view of a time. ``at_s``: everything up to the end of this second has happened. ``now_s``: what
    is said to have happened after it was written under a clock that ran ahead, and tells nothing of a time."""

    def __init__(self, database: Reading, at_s: int, now_s: int = _FAR) -> None:
        forgotten = meta_number(database, "changes_from_s")
        if forgotten is not None and at_s < forgotten:
            raise MomentForgotten
        self._database, self.at_s = database, at_s
        self._since = _first_after(database, at_s, now_s)
        gone = root(database, schema.GONE)
        self._gone = {0: False} | ({gone.id: True} if gone else {})
        """Whether what lies in a folder was deleted for good."""

    def node(self, node_id: int) -> Past | None:
        changed = self._changed(_ITSELF, (node_id,))
        if node_id in changed:
            return changed[node_id]
        found = self._database.one(_PLAIN + " WHERE id = ?", (node_id,))
        return self._present(found) if found else None

    def above(self, node_id: int) -> list[Past]:
        """The node and all folders above it, up to its root then; empty where it was not there."""
        out: list[Past] = []
        while node_id and len(out) < names.MAX_DEPTH + 2:
            found = self.node(node_id)
            if found is None:
                return []
            out.append(found)
            node_id = found.parent
        return out if not node_id else []

    def children(self, folder: int) -> list[Past]:
        """In no order."""
        changed = self._changed(_IN_FOLDER, (folder, folder, self._since))
        rows = self._database.all(_PLAIN + " WHERE parent = ?", (folder,))
        out = [self._present(row) for row in rows if row[0] not in changed]
        return out + [one for one in changed.values() if one is not None and one.parent == folder]

    def below(self, folder: int) -> Iterator[Past]:
        """Everything below a folder, each after its own folder."""
        waiting = [folder]
        while waiting:
            for one in self.children(waiting.pop()):
                yield one
                if one.is_folder:
                    waiting.append(one.node)

    def _changed(self, nodes: LiteralString, parameters: tuple[int, ...]) -> dict[int, Past | None]:
        """Those of some nodes that changed since; None: not there yet."""
        rows = self._database.all(
            _BEFORE_HEAD + nodes + _BEFORE_TAIL, (self._since, self._since, *parameters)
        )
        return {row[0]: self._kept(_Before(*row[:-1]).past(), row[-1]) for row in rows}

    def _present(self, row: Row) -> Past:
        node_id, parent, name, is_folder, size_bytes, mtime_s, etag = row
        size = 0 if is_folder else size_bytes
        found = Past(node_id, parent, name, bool(is_folder), size, mtime_s, etag, True, True)
        return found._replace(is_kept=bool(is_folder) or not self._is_gone(parent))

    def _kept(self, past: Past | None, parent: int | None) -> Past | None:
        """``parent``: where it lies now."""
        if past is None or past.is_folder or parent is None or not self._is_gone(parent):
            return past
        return past._replace(is_kept=False)

    def _is_gone(self, folder: int) -> bool:
        way = []
        while folder not in self._gone:
            way.append(folder)
            folder = scalar(self._database, "SELECT parent FROM node WHERE id = ?", (folder,)) or 0
        self._gone.update(dict.fromkeys(way, self._gone[folder]))
        return self._gone[folder]


# Of each node its first change since, and the first that replaced its content; by the index of a node's changes.
# CROSS JOIN: from the nodes to the changes, whatever a planner thinks.
_BEFORE_HEAD: LiteralString = (
    "SELECT s.id, c.kind, c.parent, c.name, c.is_folder, c.size_bytes, c.mtime_s, r.etag_before, v.etag, n.etag,"
    " n.parent"
    " FROM (SELECT id, (SELECT MIN(number) FROM change WHERE node = id AND number >= ?) AS first,"
    " (SELECT MIN(number) FROM change WHERE node = id AND number >= ? AND kind = 'changed') AS replaced FROM ("
)
_BEFORE_TAIL: LiteralString = (
    ") which) s CROSS JOIN change c LEFT JOIN change r ON r.number = s.replaced"
    " LEFT JOIN version v ON v.node = s.id AND v.etag = r.etag_before LEFT JOIN node n ON n.id = s.id"
    " WHERE c.number = s.first"
)
_ITSELF: LiteralString = "SELECT CAST(? AS BIGINT) AS id"
# What lies there, and what left it since: by the index ``change_left``, whose condition stands here word for word.
_IN_FOLDER: LiteralString = (
    "SELECT id FROM node WHERE parent = ? UNION SELECT node FROM change WHERE parent = ? AND number >= ?"
    " AND kind NOT IN ('created', 'changed', 'properties')"
)
_PLAIN: LiteralString = "SELECT id, parent, name, is_folder, size_bytes, mtime_s, etag FROM node"


def _first_after(database: Reading, at_s: int, now_s: int) -> int:
    """The number from which on everything happened later. Requests that were begun in one order are committed in
    another; none waits for longer than APART_S. So what has a smaller number than something of a day before happened
    before that, under a clock that ran ahead, whatever it says."""
    before: LiteralString = "SELECT number FROM change WHERE at_s <= ? ORDER BY at_s DESC LIMIT 1"
    known = scalar(database, before, (at_s - APART_S,)) or 0
    # "+ 0": by the index of times
    first = scalar(database, "SELECT MIN(at_s) FROM change WHERE at_s > ? AND number + 0 > ?", (at_s, known))
    if first is None or first > now_s:
        return _FAR
    found: int = scalar(
        database,
        "SELECT MIN(number + 0) FROM change WHERE at_s > ? AND at_s <= ? AND number + 0 > ?",
        (at_s, min(first + APART_S, now_s), known),
    )
    return found


class _Before(NamedTuple):
    """A node's first change since. ``replaced``: what was its content, where that was replaced since; ``version``: the
    same, where it is kept; ``etag``: of the node, where it is there."""

    node: int
    kind: str
    parent: int
    name: str
    is_folder: int
    size_bytes: int
    mtime_s: int
    replaced: int | None
    version: int | None
    etag: int | None

    def past(self) -> Past | None:
        place = (self.node, self.parent, self.name, bool(self.is_folder))
        if self.kind == "created":
            return None
        if self.is_folder:
            return Past(*place, 0, self.mtime_s, _AS_IT_IS, False, True)
        if self.replaced is None:
            return Past(*place, self.size_bytes, self.mtime_s, self.etag or 0, True, self.etag is not None)
        return Past(*place, self.size_bytes, self.mtime_s, self.replaced, False, self.version is not None)


def seen(database: Reading, folder: int, at_s: int, now_s: int = _FAR) -> Moment:
    """A time as whoever sees this folder now may look at it, from this folder downwards.

    Errors: AbsentNode, MomentAbsent, MomentPrivate, MomentForgotten."""
    now = above(database, folder)
    if not now or not now[0].is_folder or now[-1].name in _OUT_OF_SIGHT:
        raise AbsentNode("folder")
    moment = Moment(database, at_s, now_s)
    then = moment.above(folder)
    if not then or then[-1].name in _OUT_OF_SIGHT:
        raise MomentAbsent("folder")
    if then[-1].node != now[-1].id:
        raise MomentPrivate
    return moment


def content(database: Reading, past: Past) -> Content | None:
    """What it held; None where that was destroyed since it was looked at. What was present then may have been replaced
    meanwhile, by somebody to whom it belongs now."""
    columns: LiteralString = "SELECT size_bytes, sha1, sha256, manifest FROM"
    replaced = database.one(
        "SELECT etag_before FROM change WHERE node = ? AND number > ? AND kind = 'changed' ORDER BY number LIMIT 1",
        (past.node, past.etag),
    )
    if past.is_present and replaced is None:
        row = database.one(columns + " node WHERE id = ?", (past.node,))
    else:
        etag = replaced[0] if past.is_present and replaced else past.etag
        row = database.one(columns + " version WHERE node = ? AND etag = ?", (past.node, etag))
    return Content(*row) if row else None


def first_since(database: Reading, since_s: int, now_s: int) -> int:
    """The number from which on nothing was done before a time, whatever it says: by a clock that was behind, what was
    done today may say that it is of years ago, and its term seem over."""
    asked: LiteralString = "SELECT MIN(number + 0) FROM change WHERE at_s >= ? AND at_s <= ?"
    found: int | None = scalar(database, asked, (since_s, now_s))
    return found if found is not None else _FAR


def forget(writing: Writing, *, before_s: int, most: int = MOST_FORGOTTEN) -> bool:
    """Changes before a time go, up to ``most``; from then on no earlier time can be looked at. True while there are
    more."""
    from_s = meta_number(writing, "changes_from_s")
    if from_s is not None and from_s > before_s:
        # Forgotten by a clock that ran ahead; what came since then is known.
        first_s = scalar(writing, "SELECT MIN(at_s) FROM change WHERE at_s >= ?", (before_s,))
        keep_meta(writing, "changes_from_s", from_s if first_s is None else min(from_s, first_s))
    else:
        keep_meta(writing, "changes_from_s", before_s)
    first = scalar(writing, "SELECT MIN(number) FROM change WHERE at_s >= ?", (before_s,))
    end = first if first is not None else _FAR
    gone = writing.run(
        "DELETE FROM change WHERE number IN (SELECT number FROM change WHERE number < ? ORDER BY number LIMIT ?)",
        (end, most),
    )
    return gone == most
