"""The way back to a folder as it was: a plan with counts, and its steps.

Rule:    it takes nothing from anybody else: what came into the folder since goes to the trash; what lies in the trash
         of the same root comes out of it; what was moved elsewhere stays where it is, and is copied as it was. Each
         step looks at how things are when it is taken: others may write between them. A file whose content of then is
         not kept any more has its place again, and the content that it has.
Errors:  WayTooLong, Sealed; steps: those of ``tree``.
Source:  docs/internals/drive.md, "Points in time".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Set
from dataclasses import dataclass
from itertools import islice
from typing import Literal, NamedTuple

from beffroi.drive.archives.rules import Sealed
from beffroi.drive.store import moments, names, schema, seals, tree, versions
from beffroi.drive.store.look import above, below, free_name
from beffroi.drive.store.model import EMPTY, AbsentNode, Act, Node
from beffroi.drive.store.moments import Moment, Past
from beffroi.drive.store.versions import VersionAbsent
from beffroi.drive.store.writing import Reading, Writing
from beffroi.lib.errors import BeffroiError

MOST_PLANNED = 100_000
"""Files and folders, those of then and those of now."""


class WayTooLong(BeffroiError):
    """More than {} files and folders are concerned; take one folder after the other."""

    code = "drive.way_too_long"
    http_status = 413


class Step(NamedTuple):
    """``remove``: the node leaves the folder for the trash. ``place``: what was ``past`` is there again, with its
    content; its own folder was placed before it."""

    kind: Literal["remove", "place"]
    node: int
    past: Past | None = None


@dataclass(frozen=True)
class Plan:
    """A way back. ``removed``, ``returned``, ``copied``, ``moved``, ``rewritten``: how many nodes; ``stayed``: files
    that are there and keep their present content, for that of then is gone; ``lost``: all others of whose content that
    is so."""

    folder: int
    at_s: int
    steps: tuple[Step, ...]
    removed: int = 0
    returned: int = 0
    copied: int = 0
    moved: int = 0
    rewritten: int = 0
    stayed: int = 0
    lost: int = 0


def plan(database: Reading, folder: int, moment: Moment) -> Plan:
    """What would have to happen for a folder to be as it was, but for what is sealed in it: that stays as it is.
    ``moment``: at which it may be seen. Errors: WayTooLong, Sealed (all of it is)."""
    way = above(database, folder)
    looking = seals.Looking(database)
    if looking.reach(way[0]) == "inside":
        raise Sealed
    then = list(islice(moment.below(folder), MOST_PLANNED + 1))
    now = {one.id: one for one in islice(below(database, folder), MOST_PLANNED + 1)}
    if len(then) + len(now) > MOST_PLANNED:
        raise WayTooLong(MOST_PLANNED)
    sealed = {one.id: reach for one in now.values() if (reach := looking.reach(one))}
    wanted = {one.node for one in then if one.is_kept or one.node in now} | set(sealed)
    # The lowest first: what stays in a folder that is removed takes nothing with it that goes.
    steps = [
        Step("remove", one) for one in reversed(now) if one not in wanted and _goes_itself(now, one, wanted)
    ]
    late = _Late(database, wanted, MOST_PLANNED - len(then) - len(now))
    counts = Counter(removed=sum(one not in wanted for one in now))
    for past in then:
        if past.node in sealed or sealed.get(past.parent) == "inside":
            continue
        here = now.get(past.node)
        if not past.is_kept and here is None:
            counts["lost"] += 1
            continue
        counts["stayed"] += not past.is_kept
        if here is None:
            in_trash = _where(database, past.node, folder, way[-1].id) == "trash"
            counts["returned" if in_trash else "copied"] += 1
            if in_trash and past.is_folder:
                late.look(past.node)
        elif (here.parent, here.name) != (past.parent, past.name):
            counts["moved"] += 1
        if not past.is_folder and not past.is_present and past.is_kept:
            counts["rewritten"] += here is not None
        elif here is not None and (here.parent, here.name) == (past.parent, past.name):
            continue
        steps.append(Step("place", past.node, past if past.is_kept else past._replace(is_present=True)))
    return Plan(folder, moment.at_s, (*steps, *late.removals), **counts)


class _Late:
    """What came later into folders that come out of the trash: it comes back with them, and goes again. Each is looked
    at once, also in a folder of a folder. Errors: WayTooLong."""

    def __init__(self, database: Reading, wanted: Set[int], most: int) -> None:
        self._database, self._wanted, self._most = database, wanted, most
        self._looked: set[int] = set()
        self.removals: list[Step] = []

    def look(self, folder: int) -> None:
        if folder in self._looked:
            return
        for one in below(self._database, folder):
            self._looked.add(one.id)
            if len(self._looked) > self._most:
                raise WayTooLong(MOST_PLANNED)
            if one.id not in self._wanted:
                self.removals.append(Step("remove", one.id))


def take(writing: Writing, act: Act, folder: int, step: Step, copies: dict[int, int]) -> None:
    """``copies``: of folders that were copied, which node is the copy; one of this step is added."""
    if step.past is not None:
        _place(writing, act, folder, step.past, copies)
    elif _where(writing, step.node, folder, 0) == "here":
        tree.delete(writing, act, step.node)


def _place(writing: Writing, act: Act, folder: int, past: Past, copies: dict[int, int]) -> None:
    into = tree.folder_at(writing, copies.get(past.parent, past.parent))
    if into.id != folder and _where(writing, into.id, folder, 0) != "here":
        raise AbsentNode("folder")  # somebody took it elsewhere meanwhile, and nobody else writes there
    where = _where(writing, past.node, folder, writing.root_of(folder))
    if where not in ("here", "trash"):
        if where == "gone" and not past.is_folder:
            raise VersionAbsent("version")
        copied = _copied(writing, act, past, into)
        if past.is_folder:
            copies[past.node] = copied
        return
    one = tree.node_at(writing, past.node)
    if (one.parent, one.name) != (into.id, past.name):
        _free(writing, act, into.id, past.name, besides=one.id)
        if where == "trash":
            tree.relocate(writing, act, one, into, past.name, kind="returned")
        else:
            tree.move(writing, act, one.id, into.id, past.name)
    if not past.is_folder and not past.is_present:
        versions.restore(writing, act, past.node, past.etag)


def _copied(writing: Writing, act: Act, past: Past, into: Node) -> int:
    """Errors: VersionAbsent."""
    content = EMPTY if past.is_folder else moments.content(writing, past)
    if content is None:
        raise VersionAbsent("version")
    _free(writing, act, into.id, past.name)
    if past.is_folder:
        return tree.make_folder(writing, act, into.id, past.name, mtime_s=past.mtime_s).id
    return tree.put(writing, act, into.id, past.name, content, mtime_s=past.mtime_s)[0].id


def _free(writing: Writing, act: Act, folder: int, name: str, *, besides: int = 0) -> None:
    """Whatever has this name steps aside: it is placed later, or came after the plan was made."""
    row = writing.one(
        "SELECT id FROM node WHERE parent = ? AND folded = ? AND id <> ?",
        (folder, names.folded(name), besides),
    )
    if row is not None:
        tree.move(writing, act, row[0], folder, free_name(writing, folder, name))


def _where(
    database: Reading, node_id: int, folder: int, root_id: int
) -> Literal["here", "trash", "elsewhere", "gone"]:
    """Whether a node lies below a folder, in the trash of a root, or is deleted for good; the trash of another root is
    somebody else's."""
    way = above(database, node_id)
    if not way or way[-1].name == schema.GONE:
        return "gone"
    if any(one.id == folder for one in way[1:]):
        return "here"
    if way[-1].name != schema.TRASH or len(way) < 2:
        return "elsewhere"
    row = database.one("SELECT root FROM trash WHERE node = ?", (way[-2].id,))
    return "trash" if row and row[0] == root_id else "elsewhere"


def _goes_itself(now: Mapping[int, Node], node_id: int, wanted: Set[int]) -> bool:
    """It does not go with its folder."""
    parent = now[node_id].parent
    return parent not in now or parent in wanted
