"""A folder as it was at a time, and the way back to it.

Rule:    what a node was at T stands in its first row of ``change`` after T (``parent`` to ``mtime_s`` are as before);
         one without such a row is as it was. Its content then: the version that its first replacement after T made, or
         the present one. So a view of a folder costs what lies in it and what left it since, not what there is nor what
         changed elsewhere.
         What was destroyed since is listed, and cannot be opened (``Past.is_kept``).
         A way back takes nothing from anybody else: what came into the folder since goes to the trash; what lies in the
         trash comes out of it; what was moved out of the folder stays where it is, and is copied. It is a list of
         steps, each of which looks at how things are when it is taken: others may write between them.
Errors:  AbsentNode (the folder was not there then), MomentForgotten; steps: those of ``tree``.
Source:  docs/internals/drive.md.
"""

from __future__ import annotations

from collections import ChainMap, defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import partial
from itertools import batched
from typing import Literal, LiteralString, NamedTuple

from beffroi.drive.archives.rules import Sealed
from beffroi.drive.store import names, schema, seals, tree, versions
from beffroi.drive.store.database import Database
from beffroi.drive.store.look import above, below, free_name, node, root
from beffroi.drive.store.model import EMPTY, AbsentNode, Act, Content, Node
from beffroi.drive.store.writing import Reading, Row, Writing
from beffroi.lib.errors import BeffroiError

MOST_STEPS = 100
MOST_FORGOTTEN = 5000
APART_S = 86400
_AS_IT_IS = 0


class MomentForgotten(BeffroiError):
    """So far back, nothing is known any more; choose a later time."""

    code = "drive.moment_forgotten"
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
    """One picture's view of a time. ``at_s``: everything up to the end of this second has happened."""

    def __init__(self, database: Reading, at_s: int) -> None:
        forgotten = database.one("SELECT value FROM meta WHERE name = 'changes_from_s'")
        if forgotten is not None and at_s < int(forgotten[0]):
            raise MomentForgotten
        self._database = database
        self._since = _first_after(database, at_s)

    def node(self, node_id: int) -> Past | None:
        changed = self._changed(_ITSELF, (node_id,))
        if node_id in changed:
            return changed[node_id]
        found = self._database.one(_PLAIN + " WHERE id = ?", (node_id,))
        return _present(found) if found else None

    def children(self, folder: int) -> list[Past]:
        """In no order."""
        changed = self._changed(_IN_FOLDER, (folder, folder, self._since))
        rows = self._database.all(_PLAIN + " WHERE parent = ?", (folder,))
        out = [_present(row) for row in rows if row[0] not in changed]
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
        return {row[0]: _Before(*row).past() for row in rows}


# Of each node its first change since, and the first that replaced its content; by the index of a node's changes.
# CROSS JOIN: from the nodes to the changes, whatever a planner thinks.
_BEFORE_HEAD: LiteralString = (
    "SELECT s.id, c.kind, c.parent, c.name, c.is_folder, c.size_bytes, c.mtime_s, r.etag_before, v.etag, n.etag"
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


def _first_after(database: Reading, at_s: int) -> int:
    """The number from which on everything happened later. Requests that were begun in one order are committed in
    another; none waits for longer than APART_S."""
    first = database.one("SELECT MIN(at_s) FROM change WHERE at_s > ?", (at_s,))
    if first is None or first[0] is None:
        return 1 << 62
    # "+ 0": by the index of times
    found = database.one(
        "SELECT MIN(number + 0) FROM change WHERE at_s > ? AND at_s <= ?", (at_s, first[0] + APART_S)
    )
    assert found is not None, "the first is one of them"
    return int(found[0])


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


def _present(row: Row) -> Past:
    node_id, parent, name, is_folder, size_bytes, mtime_s, etag = row
    size = 0 if is_folder else size_bytes
    return Past(node_id, parent, name, bool(is_folder), size, mtime_s, etag, True, True)


class Step(NamedTuple):
    """``remove``: the node leaves the folder for the trash. ``place``: what was ``past`` is there again, with its
    content; its own folder was placed before it."""

    kind: Literal["remove", "place"]
    node: int
    past: Past | None = None


@dataclass(frozen=True)
class Plan:
    """A way back. ``removed``, ``returned``, ``copied``, ``moved``, ``rewritten``: how many nodes; ``lost``: files that
    were destroyed since, or whose version was."""

    folder: int
    at_s: int
    steps: tuple[Step, ...]
    removed: int
    returned: int
    copied: int
    moved: int
    rewritten: int
    lost: int


def plan(database: Reading, folder: int, at_s: int) -> Plan:
    """What would have to happen for a folder to be as it was, but for what is sealed in it: that stays as it is.

    Errors: AbsentNode, MomentForgotten, Sealed (all of it is)."""
    moment = Moment(database, at_s)
    start, was = node(database, folder), moment.node(folder)
    if start is None or was is None or not start.is_folder:
        raise AbsentNode("folder")
    looking = seals.Looking(database)
    if looking.reach(start) == "inside":
        raise Sealed
    bin_ = root(database, schema.TRASH)
    then = list(moment.below(folder))
    now = {one.id: one for one in below(database, folder)}
    sealed = {one.id: reach for one in now.values() if (reach := looking.reach(one))}
    wanted = {one.node for one in then if one.is_kept} | set(sealed)
    steps = [Step("remove", one) for one in now if one not in wanted and _is_topmost(now, one, wanted)]
    removals: list[Step] = []
    counts: defaultdict[str, int] = defaultdict(int)
    counts["removed"] = sum(one not in wanted for one in now)
    for past in then:
        if past.node in sealed or sealed.get(past.parent) == "inside":
            continue
        if not past.is_kept:
            counts["lost"] += 1
            continue
        here = now.get(past.node)
        if here is None:
            in_trash = bin_ is not None and _is_inside(database, past.node, bin_.id)
            counts["returned" if in_trash else "copied"] += 1
            if in_trash and past.is_folder:  # what came into it later comes back with it, and goes again
                late = (one.id for one in below(database, past.node) if one.id not in wanted)
                removals += [Step("remove", one) for one in late]
        elif (here.parent, here.name) != (past.parent, past.name):
            counts["moved"] += 1
        if not past.is_folder and not past.is_present:
            counts["rewritten"] += here is not None
        elif here is not None and (here.parent, here.name) == (past.parent, past.name):
            continue
        steps.append(Step("place", past.node, past))
    return Plan(
        folder,
        at_s,
        (*steps, *removals),
        counts["removed"],
        counts["returned"],
        counts["copied"],
        counts["moved"],
        counts["rewritten"],
        counts["lost"],
    )


def carry_out(database: Database, act: Act, way: Plan) -> None:
    """All steps, MOST_STEPS a change. Taken again after a crash with a new plan, it goes on from where things are."""
    copies: dict[int, int] = {}
    for some in batched(way.steps, MOST_STEPS, strict=False):
        copies |= database.write(partial(take, act=act, folder=way.folder, steps=some, copies=copies))


def take(
    writing: Writing, act: Act, folder: int, steps: Sequence[Step], copies: dict[int, int]
) -> dict[int, int]:
    """``copies``: for nodes that were copied, which node is the copy; return those of these steps."""
    places = ChainMap({}, copies)
    for step in steps:
        if step.past is not None:
            _place(writing, act, folder, step.past, places)
            continue
        one = node(writing, step.node)
        if one is not None and _is_inside(writing, one.id, folder):
            tree.delete(writing, act, one.id)
    return dict(places.maps[0])


def _place(writing: Writing, act: Act, folder: int, past: Past, places: ChainMap[int, int]) -> None:
    into = tree.folder_at(writing, places.get(past.parent, past.parent))
    one, bin_ = node(writing, past.node), root(writing, schema.TRASH)
    in_trash = one is not None and bin_ is not None and _is_inside(writing, one.id, bin_.id)
    if one is None or not (in_trash or _is_inside(writing, one.id, folder)):
        copied = _copied(writing, act, past, into)
        if copied is not None:
            places[past.node] = copied
        return
    if (one.parent, one.name) != (into.id, past.name):
        _free(writing, act, into.id, past.name, besides=one.id)
        if in_trash:
            tree.relocate(writing, act, one, into, past.name, kind="returned")
        else:
            tree.move(writing, act, one.id, into.id, past.name)
    if not past.is_folder and not past.is_present and _content(writing, past) is not None:
        versions.restore(writing, act, past.node, past.etag)


def _copied(writing: Writing, act: Act, past: Past, into: Node) -> int | None:
    content = EMPTY if past.is_folder else _content(writing, past)
    if content is None:
        return None
    _free(writing, act, into.id, past.name)
    if past.is_folder:
        return tree.make_folder(writing, act, into.id, past.name, mtime_s=past.mtime_s).id
    return tree.put(writing, act, into.id, past.name, content, mtime_s=past.mtime_s)[0].id


def _content(writing: Writing, past: Past) -> Content | None:
    """What it held; None where that was destroyed since the plan was made."""
    columns: LiteralString = "SELECT size_bytes, sha1, sha256, manifest FROM"
    if past.is_present:
        row = writing.one(columns + " node WHERE id = ?", (past.node,))
    else:
        row = writing.one(columns + " version WHERE node = ? AND etag = ?", (past.node, past.etag))
    return Content(*row) if row else None


def _free(writing: Writing, act: Act, folder: int, name: str, *, besides: int = 0) -> None:
    """Whatever has this name steps aside: it is placed later, or came after the plan was made."""
    row = writing.one(
        "SELECT id FROM node WHERE parent = ? AND folded = ? AND id <> ?",
        (folder, names.folded(name), besides),
    )
    if row is not None:
        tree.move(writing, act, row[0], folder, free_name(writing, folder, name))


def _is_inside(database: Reading, node_id: int, folder: int) -> bool:
    return any(one.id == folder for one in above(database, node_id)[1:])


def _is_topmost(now: Mapping[int, Node], node_id: int, wanted: Set[int]) -> bool:
    """No folder above it is removed as well."""
    at = now.get(now[node_id].parent)
    while at is not None:
        if at.id not in wanted:
            return False
        at = now.get(at.parent)
    return True


def forget(writing: Writing, *, before_s: int, most: int = MOST_FORGOTTEN) -> bool:
    """Changes before a time go, up to ``most``; from then on no earlier time can be looked at. True while there are
    more."""
    kept = writing.one("SELECT value FROM meta WHERE name = 'changes_from_s'")
    if kept is None:
        writing.run("INSERT INTO meta (name, value) VALUES ('changes_from_s', ?)", (str(before_s),))
    elif int(kept[0]) < before_s:
        writing.run("UPDATE meta SET value = ? WHERE name = 'changes_from_s'", (str(before_s),))
    first = writing.one("SELECT MIN(number) FROM change WHERE at_s >= ?", (before_s,))
    end = first[0] if first and first[0] is not None else 1 << 62
    gone = writing.run(
        "DELETE FROM change WHERE number IN (SELECT number FROM change WHERE number < ? ORDER BY number LIMIT ?)",
        (end, most),
    )
    return gone == most
