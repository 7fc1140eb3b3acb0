"""Sealed folders: their rows, and the one question that every change of the tree asks.

Rule:    what lies in a sealed folder stays as it is, and so do the folder and the names of those above it, which are
         its path. ``refuse`` is asked before anything is written, by ``locks.require`` and by what changes without it,
         and once more by ``tree.note``, through which every change of a node goes: whoever forgot to ask loses the
         whole change. No clock is asked: a seal ends when a person ends it.
         At most one seal stands on a path: none in another, none around another.
Errors:  rules.Sealed; AbsentNode (no such seal), SealRefused.
Source:  docs/internals/drive-seals.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, LiteralString, NamedTuple

from beffroi.drive.archives.rules import Sealed
from beffroi.drive.store import look
from beffroi.drive.store.model import AbsentNode, Node
from beffroi.drive.store.scalars import scalar
from beffroi.drive.store.writing import Reading, Writing
from beffroi.lib.errors import Conflict
from beffroi.lib.ids import is_id

State = Literal["sealing", "sealed", "failed", "lifted", "destroyed"]
Stamp = Literal["none", "wanted", "had"]
Reach = Literal["", "inside", "above"]
"""How a seal reaches a node: not; it is sealed; a sealed folder lies below it."""
NO_END = 0
DAMAGED = "damaged"
"""The text of a seal that failed: paths of files that could not be read as they are known, a line each."""
_ROWS: LiteralString = (
    "SELECT id, node, state, name, begun_s, until_s, rule, person_id, audit_position, audit_hash, files, size_bytes,"
    " done_files, done_bytes, reached, stamp, tried_s, told_s, ended_s, ended_by FROM seal"
)
_STANDING: LiteralString = "SELECT node FROM seal WHERE state IN ('sealing', 'sealed')"
_ABOVE: LiteralString = (
    "WITH RECURSIVE up (id) AS (SELECT n.parent FROM node n JOIN seal s ON s.node = n.id"
    " WHERE s.state IN ('sealing', 'sealed') UNION SELECT n.parent FROM node n JOIN up ON n.id = up.id)"
    " SELECT id FROM up WHERE id <> 0"
)


class SealRefused(Conflict):
    """This folder cannot be sealed: {}."""

    code = "drive.seal_refused"


class Seal(NamedTuple):
    """A row of ``seal``. ``node``: the folder; ``name``: as it was called. ``until_s``: NO_END for none.

    ``state``: nothing changes in it from "sealing" on, while every content is read; then "sealed", or "failed".
    ``files``, ``size_bytes``: what is in it; ``done_files``, ``done_bytes``, ``reached``: how much was read, and up to
    which node. ``stamp``: of the outside authority; ``tried_s``: when it was asked last. ``told_s``: when the outbox
    heard how the sealing went, 0 before. ``ended_s``, ``ended_by``: of what is lifted or destroyed.
    """

    id: str
    node: int
    state: State
    name: str
    begun_s: int
    until_s: int
    rule: str
    person_id: str
    audit_position: int
    audit_hash: str
    files: int
    size_bytes: int
    done_files: int
    done_bytes: int
    reached: int
    stamp: Stamp
    tried_s: int
    told_s: int
    ended_s: int
    ended_by: str

    @property
    def stands(self) -> bool:
        return self.state in ("sealing", "sealed")


class Marks(NamedTuple):
    """Folders that are sealed, and all folders above them."""

    sealed: frozenset[int]
    above: frozenset[int]


def marks(database: Reading) -> Marks:
    sealed = frozenset(row[0] for row in database.all(_STANDING))
    return Marks(sealed, frozenset(row[0] for row in database.all(_ABOVE)) if sealed else frozenset())


class Looking:
    """Asks of one picture how seals reach its nodes; each folder is looked up once."""

    def __init__(self, database: Reading) -> None:
        self._database = database
        self._marks = _standing(database) if isinstance(database, Writing) else marks(database)
        self._known: dict[int, bool] = {}

    def reach(self, one: Node) -> Reach:
        if not self._marks.sealed:
            return ""
        if one.id in self._marks.above:
            return "above"
        if one.id in self._marks.sealed:
            return "inside"
        if one.parent not in self._known:
            self._known[one.parent] = _is_inside(self._database, self._marks, one.parent)
        return "inside" if self._known[one.parent] else ""


def refuse(writing: Writing, node_id: int, was_in: int, *, names: bool = True) -> None:
    """A node that lay in the folder ``was_in``, and lies now where its row says, may change. ``names``: its place may
    (of a folder above a sealed one, it may not). Errors: Sealed."""
    standing = _standing(writing)
    if not standing.sealed:
        return
    if names and node_id in standing.above:
        raise Sealed
    if any(_is_inside(writing, standing, one) for one in (node_id, was_in)):
        raise Sealed


def _standing(writing: Writing) -> Marks:
    """Looked up once a group."""
    if writing.seals is None:
        writing.seals = marks(writing)
    found: Marks = writing.seals
    return found


def _is_inside(database: Reading, standing: Marks, node_id: int) -> bool:
    while node_id and node_id not in standing.sealed:
        node_id = scalar(database, "SELECT parent FROM node WHERE id = ?", (node_id,)) or 0
    return bool(node_id)


def require_free(database: Reading, one: Node, *, names: bool = False) -> None:
    """Before a body comes, or a lock is given: the change itself asks again. ``names``: as ``refuse``.

    Errors: Sealed."""
    reach = Looking(database).reach(one)
    if reach == "inside" or (names and reach == "above"):
        raise Sealed


# -- look-ups --------------------------------------------------------------------------------------------------


def find(database: Reading, seal_id: str) -> Seal:
    """Errors: AbsentNode."""
    row = database.one(_ROWS + " WHERE id = ?", (seal_id,)) if is_id(seal_id, "seal") else None
    if row is None:
        raise AbsentNode("seal")
    return Seal(*row)


def every(database: Reading, *, most: int = 1000) -> list[Seal]:
    """Newest first."""
    return [Seal(*row) for row in database.all(_ROWS + " ORDER BY begun_s DESC, id DESC LIMIT ?", (most,))]


def running(database: Reading, *, now_s: float) -> int:
    """How many stand whose term is not over."""
    asked: LiteralString = (
        "SELECT COUNT(*) FROM seal WHERE state IN ('sealing', 'sealed') AND (until_s = ? OR until_s > ?)"
    )
    return int(scalar(database, asked, (NO_END, int(now_s))))


def terms(database: Reading) -> dict[str, int]:
    """``until_s`` of those that stand, by identifier."""
    rows = database.all("SELECT id, until_s FROM seal WHERE state IN ('sealing', 'sealed')")
    return {row[0]: row[1] for row in rows}


def covering(database: Reading, node_id: int) -> Seal | None:
    """The seal that a node lies under, or is sealed by."""
    sealed = marks(database).sealed
    folder = (
        next((one.id for one in look.above(database, node_id) if one.id in sealed), None) if sealed else None
    )
    if folder is None:
        return None
    row = database.one(_ROWS + " WHERE node = ? AND state IN ('sealing', 'sealed')", (folder,))
    return Seal(*row) if row else None


def unfinished(database: Reading, *, retry_before_s: int, now_s: int) -> list[Seal]:
    """What there is to do: to read, to have stamped (not asked since ``retry_before_s``, or by a clock that was ahead
    of ``now_s``), to tell the outbox."""
    rows = database.all(
        _ROWS + " WHERE state = 'sealing' OR (state IN ('sealed', 'failed') AND told_s = 0)"
        " OR (state = 'sealed' AND stamp = 'wanted' AND (tried_s < ? OR tried_s > ?)) ORDER BY begun_s, id",
        (retry_before_s, now_s),
    )
    return [Seal(*row) for row in rows]


def texts(database: Reading, seal_id: str) -> dict[str, bytes]:
    """By name: the parts of the seal (``archives.manifest``). SQLite keeps any type in any column: what is no text is
    not there."""
    rows = database.all("SELECT name, content FROM seal_text WHERE seal = ?", (seal_id,))
    return {row[0]: bytes(row[1]) for row in rows if isinstance(row[1], (bytes, memoryview))}


def sums(database: Reading, folder: int) -> tuple[int, int, int]:
    """(files, bytes, newest time of change in UTC epoch seconds) below a folder."""
    files = size_bytes = newest_s = 0
    for one in look.below(database, folder):
        if not one.is_folder:
            files, size_bytes, newest_s = files + 1, size_bytes + one.size_bytes, max(newest_s, one.mtime_s)
    return files, size_bytes, newest_s


def sealable(database: Reading, folder: Node) -> None:
    """Errors: SealRefused, rules.Sealed (it lies in a sealed one)."""
    if not folder.is_folder or not folder.parent:
        raise SealRefused("it is no folder of its own")
    reach = Looking(database).reach(folder)
    if reach == "inside":
        raise Sealed
    if reach == "above":
        raise SealRefused("a folder in it is sealed already")


# -- changes -----------------------------------------------------------------------------------------------------


def begin(writing: Writing, seal: Seal) -> None:
    """From here on nothing in it changes. Errors: SealRefused, Sealed, AbsentNode."""
    folder = look.node(writing, seal.node)
    if folder is None:
        raise AbsentNode("folder")
    sealable(writing, folder)
    writing.run(
        "INSERT INTO seal (id, node, state, name, begun_s, until_s, rule, person_id, audit_position, audit_hash, files,"
        " size_bytes, done_files, done_bytes, reached, stamp, tried_s, told_s, ended_s, ended_by)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        seal,
    )
    writing.seals = None
    _show(writing, folder.id)


def read_to(
    writing: Writing, seal_id: str, *, reached: int, files: int, size_bytes: int, damaged: bytes = b""
) -> None:
    """``files``, ``size_bytes``, ``damaged`` (lines for ``DAMAGED``): of what was read since the step before."""
    if damaged:
        before = texts(writing, seal_id).get(DAMAGED, b"")
        writing.run("DELETE FROM seal_text WHERE seal = ? AND name = ?", (seal_id, DAMAGED))
        _keep(writing, seal_id, {DAMAGED: before + damaged})
    writing.run(
        "UPDATE seal SET reached = ?, done_files = done_files + ?, done_bytes = done_bytes + ?"
        " WHERE id = ? AND state = 'sealing'",
        (reached, files, size_bytes, seal_id),
    )


def finish(writing: Writing, seal_id: str, parts: Mapping[str, bytes], *, stamp: Stamp) -> None:
    """Every content was read: what was signed is kept."""
    if writing.run(
        "UPDATE seal SET state = 'sealed', stamp = ? WHERE id = ? AND state = 'sealing'", (stamp, seal_id)
    ):
        _keep(writing, seal_id, parts)


def fail(writing: Writing, seal_id: str, *, now_s: int) -> None:
    """Something is not as it is known: the folder is free again, for it must be mended first."""
    if writing.run(
        "UPDATE seal SET state = 'failed', ended_s = ? WHERE id = ? AND state = 'sealing'", (now_s, seal_id)
    ):
        _released(writing, seal_id)


def tried(writing: Writing, seal_id: str, *, now_s: int) -> None:
    writing.run("UPDATE seal SET tried_s = ? WHERE id = ?", (now_s, seal_id))


def stamped(writing: Writing, seal_id: str, name: str, response: bytes) -> None:
    if writing.run("UPDATE seal SET stamp = 'had' WHERE id = ? AND stamp = 'wanted'", (seal_id,)):
        _keep(writing, seal_id, {name: response})


def told(writing: Writing, seal_id: str, *, now_s: int) -> None:
    writing.run("UPDATE seal SET told_s = ? WHERE id = ?", (now_s, seal_id))


def extend(writing: Writing, seal_id: str, *, until_s: int) -> None:
    """The statement stays as it was signed; the row has the later end."""
    writing.run("UPDATE seal SET until_s = ? WHERE id = ? AND state = 'sealed'", (until_s, seal_id))


def keep_terms(writing: Writing, before: Mapping[str, int]) -> int:
    """After everything became as it was at an earlier moment: a term that was extended since stays. ``before``: the
    ``terms`` of what stood; return how many of those stand no more."""
    now = terms(writing)
    for seal_id, until_s in before.items():
        if now.get(seal_id, NO_END) != NO_END and until_s > now[seal_id]:
            writing.run("UPDATE seal SET until_s = ? WHERE id = ?", (until_s, seal_id))
    return len(before.keys() - now.keys())


def end(
    writing: Writing, seal_id: str, state: Literal["lifted", "destroyed"], *, now_s: int, by: str
) -> bool:
    """What it covered may change again; its texts stay, as what was true of it. False where it had ended before."""
    ended = writing.run(
        "UPDATE seal SET state = ?, ended_s = ?, ended_by = ? WHERE id = ? AND state = 'sealed'",
        (state, now_s, by, seal_id),
    )
    if ended:
        _released(writing, seal_id)
    return bool(ended)


def _released(writing: Writing, seal_id: str) -> None:
    writing.seals = None
    _show(writing, find(writing, seal_id).node)


def _keep(writing: Writing, seal_id: str, parts: Mapping[str, bytes]) -> None:
    for name, content in parts.items():
        writing.run("INSERT INTO seal_text (seal, name, content) VALUES (?, ?, ?)", (seal_id, name, content))


def _show(writing: Writing, folder: int) -> None:
    """Sync clients read permissions again where a folder's etag is another one."""
    writing.touch(folder)
    for one in look.below(writing, folder):
        if one.is_folder:
            writing.touch(one.id)
