"""MOVE and COPY from one share or tree into another collectivité's, and back: the bytes are sealed anew.

Rule:    contents first, then one change where they arrive, then, of a move, one where they were, whose owner's trash
         keeps them. Whatever breaks off between leaves both; nothing is ever in neither.
Hostile: sizes and numbers: at most MOST_CARRIED files and folders, within the limits of where they go.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from beffroi.drive.store import look, tree
from beffroi.drive.store.model import Changed, Content, CopyTooLarge, Node
from beffroi.drive.store.writing import Reading, Writing
from beffroi.drive.views import Place
from beffroi.drive.web.dav.call import Call, Exists, existing
from beffroi.drive.web.dav.content import refuse_full
from beffroi.drive.web.messages import Answer

MOST_CARRIED = 1000


async def carry(call: Call, there: Call, *, is_copy: bool, is_deep: bool) -> Answer:
    """``there``: the call at the destination. Errors: those of a move, CopyTooLarge, Frozen, QuotaFull."""
    with call.view.database.reading() as reading, there.view.database.reading() as beyond:
        place = _source(call, reading, is_copy=is_copy)
        call.check(reading, place, lambda resource: there.state(beyond, resource))
        nodes = _nodes(reading, place.node, is_deep=is_deep)
    size_bytes = sum(one.size_bytes for one in nodes if not one.is_folder)
    with there.view.database.reading() as reading:
        parent, _ = _target(there, reading)
        refuse_full(reading, parent.node, size_bytes)
    contents: dict[int, Content] = {}
    for one in nodes:
        if not one.is_folder:
            pieces = call.bodies.read(one, 0, one.size_bytes)
            contents[one.id] = await there.bodies.receive(pieces, one.size_bytes)
    node, is_new = await there.view.database.write_async(
        lambda writing: _arrived(there, writing, nodes, contents)
    )
    if not is_copy:

        def leave(writing: Writing) -> None:
            left = _source(call, writing, is_copy=False)
            if left.node.etag != place.node.etag:
                raise Changed
            tree.delete(writing, call.act, left.node.id)

        await call.view.database.write_async(leave)
    return Answer(201 if is_new else 204, there.copied(node))


def _source(call: Call, reading: Reading, *, is_copy: bool) -> Place:
    path = call.target.path
    return existing(call.view.find(reading, path)) if is_copy else call.movable(reading, path)


def _nodes(reading: Reading, first: Node, *, is_deep: bool) -> list[Node]:
    """Each after its own folder. Errors: CopyTooLarge."""
    inside = look.below(reading, first.id) if first.is_folder and is_deep else iter(())
    found = [first, *itertools.islice(inside, MOST_CARRIED)]
    if len(found) > MOST_CARRIED:
        raise CopyTooLarge(MOST_CARRIED)
    return found


def _target(there: Call, reading: Reading) -> tuple[Place, Place | None]:
    """(the folder, what is there). Errors: ParentAbsent, ReadOnly, NameTaken, Exists."""
    path = there.target.path
    before, parent = there.view.find(reading, path), there.parent(reading, path)
    there.free(path)
    if before is not None and not there.overwrites():
        raise Exists
    return parent, before


def _arrived(
    there: Call, writing: Writing, nodes: Sequence[Node], contents: dict[int, Content]
) -> tuple[Node, bool]:
    parent, before = _target(there, writing)
    if before is not None:
        tree.delete(writing, there.act, before.node.id)
    folders, first = {nodes[0].parent: parent.node.id}, None
    for one in nodes:
        name = one.name if first is not None else there.target.path[-1]
        above = folders[one.parent]
        if one.is_folder:
            made = tree.make_folder(writing, there.act, above, name, mtime_s=one.mtime_s)
            folders[one.id] = made.id
        else:
            made, _ = tree.put(writing, there.act, above, name, contents[one.id], mtime_s=one.mtime_s)
        if one.properties:  # those that clients set go along, as within a collectivité
            made = tree.set_properties(writing, there.act, made.id, one.properties)
        first = first or made
    assert first is not None, "nodes has at least one"
    return first, before is None
