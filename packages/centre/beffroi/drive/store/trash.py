"""What was deleted: shown, brought back, or destroyed.

Rule:    deleted for good is decided at once (the node goes under the root ``gone``, out of sight) and carried out by
         ``destroy``, a bounded number of nodes a change, so that no change waits for a large folder. A crash between
         the two loses nothing: ``destroy`` goes on with whatever lies there.
Errors:  AbsentNode (it is not in this trash); bringing back: those of ``tree``.
Source:  docs/internals/drive.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import LiteralString, NamedTuple

from beffroi.drive.store import locks, refs, schema, seals, tree, weights
from beffroi.drive.store.database import Database
from beffroi.drive.store.look import below, child, free_name, node, root
from beffroi.drive.store.model import NOTHING, AbsentNode, Act, Node
from beffroi.drive.store.scalars import scalar
from beffroi.drive.store.writing import Reading, Writing

MOST_DESTROYED = 500
MOST_SOUGHT = 2000
MUCH, PAUSE_S = 100, 300
"""So many deletions are told; what follows a pause is another time."""
_ROWS: LiteralString = (
    "SELECT t.node, t.parent, t.name, t.root, t.path, t.deleted_s, t.person_id, n.is_folder, n.size_bytes"
    " FROM trash t JOIN node n ON n.id = t.node"
)


class Trashed(NamedTuple):
    """``parent``, ``name``, ``path``: where it lay in ``root``. ``person_id``: who deleted it."""

    node: int
    parent: int
    name: str
    root: int
    path: str
    deleted_s: int
    person_id: str
    is_folder: int
    size_bytes: int


class Much(NamedTuple):
    """From when to when somebody's account deleted much."""

    person_id: str
    first_s: int
    last_s: int


def page(
    database: Reading, root_id: int, *, after: tuple[int, int] | None = None, most: int = 100
) -> list[Trashed]:
    """What was deleted from a root, newest first. ``after``: (deleted_s, node) of the last one of the page before."""
    end = (1 << 62, 1 << 62) if after is None else after
    rows = database.all(
        _ROWS + " WHERE t.root = ? AND (t.deleted_s, t.node) < (?, ?)"
        " ORDER BY t.deleted_s DESC, t.node DESC LIMIT ?",
        (root_id, *end, most),
    )
    return [Trashed(*row) for row in rows]


def named(
    database: Reading, root_id: int, fits: Callable[[str], bool], *, most: int = MOST_SOUGHT
) -> list[tuple[Trashed, str]]:
    """What was deleted from a root and whose name fits, or a name of what lies in it, which is told beside it ("" for
    its own). Newest first, among the last ``most`` names."""
    found, left = list[tuple[Trashed, str]](), most
    for one in page(database, root_id, most=most):
        left -= 1
        if fits(one.name):
            found.append((one, ""))
        elif one.is_folder and left > 0:
            for inner in islice(below(database, one.node), left):
                left -= 1
                if fits(inner.name):
                    found.append((one, inner.name))
                    break
        if left <= 0:
            break
    return found


def much(database: Reading, root_id: int, *, since_s: int) -> list[Much]:
    """Where MUCH or more files and folders went without a pause of PAUSE_S, by one person; newest first. A folder
    counts with all that is in it."""
    rows = database.all(
        "SELECT t.person_id, MIN(t.deleted_s), MAX(t.deleted_s), SUM(1 + COALESCE(w.entries, 0)) FROM trash t"
        " LEFT JOIN weight w ON w.node = t.node WHERE t.root = ? AND t.deleted_s >= ?"
        " GROUP BY t.person_id, t.deleted_s / 60 ORDER BY 1, 2",
        (root_id, since_s),
    )
    runs, weighed = list[Much](), list[int]()
    for person_id, first_s, last_s, entries in rows:
        last = runs[-1] if runs else None
        if last and last.person_id == person_id and first_s - last.last_s < PAUSE_S:
            runs[-1] = last._replace(last_s=last_s)
            weighed[-1] += int(entries)
        else:
            runs.append(Much(person_id, first_s, last_s))
            weighed.append(int(entries))
    # What a folder weighs counts versions, too: where it is enough, the files are counted.
    found = [
        one
        for one, entries in zip(runs, weighed, strict=True)
        if entries >= MUCH and _is_much(database, root_id, one)
    ]
    return sorted(found, key=lambda one: -one.last_s)


def _is_much(database: Reading, root_id: int, run: Much) -> bool:
    rows = database.all(
        "SELECT node FROM trash WHERE root = ? AND deleted_s BETWEEN ? AND ? AND person_id = ? LIMIT ?",
        (root_id, run.first_s, run.last_s, run.person_id, MUCH),
    )
    waiting, left = [row[0] for row in rows], MUCH - len(rows)
    while waiting and left > 0:
        inside = database.all(
            "SELECT id, is_folder FROM node WHERE parent = ? LIMIT ?", (waiting.pop(), left)
        )
        left -= len(inside)
        waiting += [node_id for node_id, is_folder in inside if is_folder]
    return left <= 0


def count(database: Reading, root_id: int) -> int:
    """How much was deleted from a root; a folder with all that is in it is one."""
    return int(scalar(database, "SELECT COUNT(*) FROM trash WHERE root = ?", (root_id,)))


def find(database: Reading, root_id: int, node_id: int) -> Trashed:
    """Errors: AbsentNode (also for what another root's trash holds)."""
    row = database.one(_ROWS + " WHERE t.node = ? AND t.root = ?", (node_id, root_id))
    if row is None:
        raise AbsentNode("file")
    return Trashed(*row)


def name(database: Reading, node: Node) -> str:
    """As it was called; of what is in no trash, as it is."""
    row = database.one("SELECT name FROM trash WHERE node = ?", (node.id,))
    return row[0] if row else node.name


def restore(writing: Writing, act: Act, root_id: int, node_id: int) -> Node:
    """To the folder it lay in, where that still is in its root; else to its former path, made again where it is not.

    A name that is taken becomes "name (2).ext".
    """
    item = find(writing, root_id, node_id)
    folder = node(writing, item.parent)
    if folder is None or not folder.is_folder or writing.root_of(folder.id) != root_id:
        folder = _rebuilt(writing, act, root_id, item.path.split("/")[:-1])
    return bring_back(writing, act, node_id, folder.id, item.name)


def bring_back(writing: Writing, act: Act, node_id: int, parent: int, name: str) -> Node:
    """Out of the trash, also from inside a deleted folder, to a folder that is not in the trash."""
    kept, folder = tree.movable(writing, node_id), tree.folder_at(writing, parent)
    locks.require(writing, act, folder)
    return tree.relocate(writing, act, kept, folder, free_name(writing, folder.id, name), kind="returned")


def forget(writing: Writing, act: Act, root_id: int, node_id: int) -> None:
    """Delete one for good: nobody sees it any more; ``destroy`` does the rest."""
    _forget(writing, act, [find(writing, root_id, node_id).node])


def empty(writing: Writing, act: Act, root_id: int, *, most: int = MOST_DESTROYED) -> bool:
    """As ``forget``, for what was deleted from a root; True while there is more."""
    items = [item.node for item in page(writing, root_id, most=most)]
    _forget(writing, act, items)
    return len(items) == most


def expire(
    writing: Writing, act: Act, *, before_s: int, before: int = 1 << 62, most: int = MOST_DESTROYED
) -> bool:
    """As ``forget``, for what was deleted before a time, in all roots; True while there is more. ``before``: and whose
    number is smaller (``moments.first_since``)."""
    items: list[int] = []
    root_id = _next_root(writing, -1)
    while root_id is not None and len(items) < most:  # by the index, root after root
        rows = writing.all(
            "SELECT t.node FROM trash t JOIN node n ON n.id = t.node"
            " WHERE t.root = ? AND t.deleted_s < ? AND n.etag < ? LIMIT ?",
            (root_id, before_s, before, most - len(items)),
        )
        items += [row[0] for row in rows]
        root_id = _next_root(writing, root_id)
    _forget(writing, act, items)
    return len(items) == most


def destroy(writing: Writing, act: Act, *, most: int = MOST_DESTROYED) -> bool:
    """Destroy up to ``most`` nodes of what was deleted for good, with their versions; True while there is more."""
    gone = root(writing, schema.GONE)
    if gone is None:
        return False
    for _ in range(most):
        last = gone
        while found := writing.one("SELECT id FROM node WHERE parent = ? LIMIT 1", (last.id,)):
            last = tree.node_at(writing, found[0])
        if last.id == gone.id:
            return False
        _destroyed(writing, act, last)
    return bool(writing.one("SELECT 1 FROM node WHERE parent = ? LIMIT 1", (gone.id,)))


def destroy_all(database: Database, act: Act) -> None:
    """Until nothing is left."""
    database.write_portions(lambda w: destroy(w, act))


def _next_root(writing: Writing, after: int) -> int | None:
    """The next root from which something was deleted."""
    found: int | None = scalar(writing, "SELECT MIN(root) FROM trash WHERE root > ?", (after,))
    return found


def _rebuilt(writing: Writing, act: Act, root_id: int, path: Sequence[str]) -> Node:
    folder = tree.folder_at(writing, root_id)
    for name in path:
        found = child(writing, folder.id, name)
        if found is None or not found.is_folder:
            found = tree.make_folder(writing, act, folder.id, free_name(writing, folder.id, name))
        folder = found
    return folder


def _forget(writing: Writing, act: Act, items: Sequence[int]) -> None:
    if not items:
        return
    gone = tree.make_root(writing, schema.GONE, now_s=act.now_s)
    for node_id in items:
        one = tree.node_at(writing, node_id)
        weight = weights.of(writing, one)
        seals.refuse(writing, one.id, one.parent)
        writing.run("DELETE FROM trash WHERE node = ?", (node_id,))
        writing.run("UPDATE node SET parent = ? WHERE id = ?", (gone.id, node_id))
        writing.touch(one.parent, NOTHING.minus(weight))
        writing.touch(gone.id, weight)
    writing.moved()


def _destroyed(writing: Writing, act: Act, one: Node) -> None:
    """A file, or a folder in which nothing is."""
    weight = weights.of(writing, one)
    for row in writing.all("SELECT manifest FROM version WHERE node = ?", (one.id,)):
        refs.drop(writing, row[0], now_s=act.now_s)
    writing.run("DELETE FROM version WHERE node = ?", (one.id,))
    writing.run("DELETE FROM dav_lock WHERE node = ?", (one.id,))
    writing.run("DELETE FROM weight WHERE node = ?", (one.id,))
    writing.run("DELETE FROM tagged WHERE node = ?", (one.id,))
    writing.run("DELETE FROM node WHERE id = ?", (one.id,))
    tree.note(writing, act, "destroyed", one, writing.number(), before=one.etag)
    # of a folder that this group emptied too: what its row still says, for its own row is not brought up any more
    writing.touch(one.parent, NOTHING.minus(weight))
    refs.drop(writing, one.manifest, now_s=act.now_s)
