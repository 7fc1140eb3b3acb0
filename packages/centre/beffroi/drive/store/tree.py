"""The tree of one collectivité: the only changes of files and folders (``look`` reads them).

Rule:    each change runs inside a group (``database``): it looks first, writes then, and notes itself in ``change``.
         Nothing is destroyed here: an overwritten content becomes a version, what is deleted goes to the trash.
         What is sealed refuses: ``note`` asks.
Hostile: names are normal already (``names``); who may do what was decided above (``views``), but for locks.
Errors:  AbsentNode, ParentAbsent, NameTaken, KindDiffers, IntoItself, RootFixed, Changed, Locked, QuotaFull,
         TooManyEntries, CopyTooLarge, TooDeep, Sealed, Frozen, Found.
Source:  docs/internals/drive.md.
"""

from __future__ import annotations

import itertools
from typing import Literal

from beffroi.drive.store import findings, names, refs, schema, seals, weights
from beffroi.drive.store.depth import refuse_cycle, refuse_too_deep
from beffroi.drive.store.locks import release, require
from beffroi.drive.store.look import below, node, path_of, root, taken
from beffroi.drive.store.model import (
    EMPTY,
    NO_LIMIT,
    NOTHING,
    AbsentNode,
    Act,
    Changed,
    Content,
    CopyTooLarge,
    KindDiffers,
    NameTaken,
    Node,
    ParentAbsent,
    RootFixed,
    Weight,
)
from beffroi.drive.store.room import afford
from beffroi.drive.store.writing import Writing

MOST_COPIED = 20_000
"""Nodes: empty files take no room of a quota, and a copy of copies doubles them each time; others wait meanwhile."""
Kind = Literal["created", "changed", "moved", "deleted", "returned", "properties", "destroyed"]


def make_root(writing: Writing, name: str, *, now_s: int) -> Node:
    """The root of this name, made where it is absent."""
    found = root(writing, name)
    if found is not None:
        return found
    return insert(writing, 0, name, True, EMPTY, mtime_s=now_s, now_s=now_s)


def make_folder(writing: Writing, act: Act, parent: int, name: str, *, mtime_s: int | None = None) -> Node:
    folder = folder_at(writing, parent)
    require(writing, act, folder)
    _refuse_taken(writing, folder.id, name)
    afford(writing, folder.id, Weight(entries=1))
    made = insert(
        writing,
        folder.id,
        name,
        True,
        EMPTY,
        mtime_s=act.now_s if mtime_s is None else mtime_s,
        now_s=act.now_s,
    )
    note(writing, act, "created", made, made.etag, before=0)
    writing.touch(folder.id, Weight(entries=1))
    return made


def put(
    writing: Writing,
    act: Act,
    parent: int,
    name: str,
    content: Content,
    *,
    mtime_s: int | None = None,
    if_absent: bool = False,
) -> tuple[Node, bool]:
    """Write a file; return it, and whether it is new. The content before becomes a version.

    ``if_absent``: only where nothing is. Errors: Changed.
    """
    folder = folder_at(writing, parent)
    there = taken(writing, folder.id, name)
    before = there if there is not None and there.name == name else None
    if if_absent and before is not None:
        raise Changed
    mtime_s = act.now_s if mtime_s is None else mtime_s
    if before is None:
        require(writing, act, folder)
        if there is not None:
            raise NameTaken("name")
        afford(writing, folder.id, Weight(content.size_bytes, 1))
        refs.add(writing, content)
        made = insert(writing, folder.id, name, False, content, mtime_s=mtime_s, now_s=act.now_s)
        note(writing, act, "created", made, made.etag, before=0)
        writing.touch(folder.id, Weight(content.size_bytes, 1))
        return made, True
    if before.is_folder:
        raise KindDiffers("a folder has this name")
    require(writing, act, before)
    afford(writing, folder.id, replacing(before, content.size_bytes))
    refs.add(writing, content)
    return replace(writing, act, before, content, mtime_s=mtime_s), False


def replace(writing: Writing, act: Act, before: Node, content: Content, *, mtime_s: int) -> Node:
    """Its references are counted already. The references of the content before go over to its version."""
    writing.run(
        "INSERT INTO version (node, etag, size_bytes, mtime_s, sha1, sha256, manifest, replaced_s)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            before.id,
            before.etag,
            before.size_bytes,
            before.mtime_s,
            before.sha1,
            before.sha256,
            before.manifest,
            act.now_s,
        ),
    )
    after = before._replace(
        size_bytes=content.size_bytes,
        mtime_s=mtime_s,
        etag=writing.number(),
        sha1=content.sha1,
        sha256=content.sha256,
        manifest=content.manifest,
    )
    writing.run(
        "UPDATE node SET size_bytes = ?, mtime_s = ?, etag = ?, sha1 = ?, sha256 = ?, manifest = ? WHERE id = ?",
        (after.size_bytes, mtime_s, after.etag, after.sha1, after.sha256, after.manifest, after.id),
    )
    note(writing, act, "changed", before, after.etag, before=before.etag)
    writing.touch(before.parent, replacing(before, after.size_bytes))
    return after


def replacing(before: Node, size_bytes: int) -> Weight:
    """What a new content takes: the one before it is kept, as a version."""
    return Weight(size_bytes - before.size_bytes, 1, before.size_bytes)


def move(
    writing: Writing, act: Act, node_id: int, parent: int, name: str, *, overwrite: bool = False
) -> tuple[Node, bool]:
    """To another folder or name; return it, and whether nothing stood there. What stood there goes to the trash."""
    moved, folder = movable(writing, node_id), folder_at(writing, parent)
    if folder.id == moved.parent and name == moved.name:
        return moved, False
    refuse_cycle(writing, moved, folder.id)
    require(writing, act, moved, deep=True)
    require(writing, act, folder_at(writing, moved.parent))
    require(writing, act, folder)
    refuse_too_deep(writing, moved, folder.id)
    fresh = _make_way(writing, act, folder.id, name, overwrite=overwrite, besides=moved.id)
    return relocate(writing, act, moved, folder, name, kind="moved"), fresh


def relocate(writing: Writing, act: Act, moved: Node, folder: Node, name: str, *, kind: Kind) -> Node:
    """Into a folder where nothing has this name; ``kind``: "moved", or "returned" from the trash.

    Errors: QuotaFull, Sealed."""
    seals.refuse(writing, moved.id, folder.id)
    weight = weights.of(writing, moved)
    if writing.root_of(moved.parent) != writing.root_of(folder.id):
        grown = weight.plus(writing.growing_below(moved.id)) if moved.is_folder else weight
        afford(writing, folder.id, grown, whole=False)
    after = moved._replace(parent=folder.id, name=name, etag=writing.number())
    writing.run(
        "UPDATE node SET parent = ?, name = ?, folded = ?, etag = ? WHERE id = ?",
        (folder.id, name, names.folded(name), after.etag, moved.id),
    )
    note(writing, act, kind, moved, after.etag, before=moved.etag)
    release(writing, moved.id)  # RFC 4918, section 7.5: a lock stays behind
    if kind == "returned":
        writing.run("DELETE FROM trash WHERE node = ?", (moved.id,))
    writing.moved()
    writing.touch(moved.parent, NOTHING.minus(weight))
    writing.touch(folder.id, weight)
    return after


def copy(
    writing: Writing,
    act: Act,
    node_id: int,
    parent: int,
    name: str,
    *,
    overwrite: bool = False,
    deep: bool = True,
    moves: bool = False,
) -> tuple[Node, bool]:
    """As ``move``; its chunks are shared, its versions stay with the original. ``deep`` False: a folder alone.
    ``moves``: the original goes, so what is held comes along. Errors: Frozen, Found (``findings``)."""
    original, folder = node_at(writing, node_id), folder_at(writing, parent)
    if original.parent == folder.id and original.name == name:
        raise NameTaken("it is the same")
    refuse_cycle(writing, original, folder.id)
    require(writing, act, folder)
    refuse_too_deep(writing, original, folder.id)
    inside = below(writing, original.id) if deep and original.is_folder else iter(())
    originals = [original, *itertools.islice(inside, MOST_COPIED)]
    if len(originals) > MOST_COPIED:
        raise CopyTooLarge(MOST_COPIED)
    if not moves:
        findings.require_free(writing, [one.sha256 for one in originals])
    size_bytes = sum(one.size_bytes for one in originals if not one.is_folder)
    fresh = _make_way(writing, act, folder.id, name, overwrite=overwrite)
    afford(writing, folder.id, Weight(size_bytes, len(originals)))
    copies: dict[int, int] = {}
    first: Node | None = None
    for one in originals:
        content = EMPTY
        if not one.is_folder:
            content = Content(one.size_bytes, one.sha1, one.sha256, one.manifest)
            refs.share(writing, one.manifest)
        made = insert(
            writing,
            folder.id if first is None else copies[one.parent],
            name if first is None else one.name,
            bool(one.is_folder),
            content,
            mtime_s=one.mtime_s,
            now_s=act.now_s,
            properties=one.properties,
        )
        copies[one.id] = made.id
        first = first or made
        note(writing, act, "created", made, made.etag, before=0)
        writing.touch(made.parent, Weight(content.size_bytes, 1))
    assert first is not None
    return first, fresh


def delete(writing: Writing, act: Act, node_id: int) -> None:
    """To the trash of its root, whole."""
    gone = movable(writing, node_id)
    require(writing, act, gone, deep=True)
    require(writing, act, folder_at(writing, gone.parent))
    discard(writing, act, gone)


def discard(writing: Writing, act: Act, gone: Node) -> None:
    """Errors: Sealed."""
    seals.refuse(writing, gone.id, gone.parent)
    bin_, weight = make_root(writing, schema.TRASH, now_s=act.now_s), weights.of(writing, gone)
    writing.run(
        "INSERT INTO trash (node, parent, name, root, path, deleted_s, person_id) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            gone.id,
            gone.parent,
            gone.name,
            writing.root_of(gone.parent),
            path_of(writing, gone.id),
            act.now_s,
            act.person_id,
        ),
    )
    etag, name = writing.number(), str(gone.id)
    writing.run(
        "UPDATE node SET parent = ?, name = ?, folded = ?, etag = ? WHERE id = ?",
        (bin_.id, name, name, etag, gone.id),
    )
    note(writing, act, "deleted", gone, etag, before=gone.etag)
    release(writing, gone.id)
    writing.moved()
    writing.touch(gone.parent, NOTHING.minus(weight))
    writing.touch(bin_.id, weight)


def set_properties(
    writing: Writing, act: Act, node_id: int, properties: str, *, mtime_s: int | None = None
) -> Node:
    """``properties``: as ``Node`` says. It is a change for sync clients only where the time of change is set."""
    before = node_at(writing, node_id)
    require(writing, act, before)
    after = before._replace(properties=properties)
    if mtime_s is not None and mtime_s != before.mtime_s:
        after = after._replace(mtime_s=mtime_s, etag=writing.number())
        note(writing, act, "properties", before, after.etag, before=before.etag)
        if before.parent:
            writing.touch(before.parent)
    writing.run(
        "UPDATE node SET properties = ?, mtime_s = ?, etag = ? WHERE id = ?",
        (after.properties, after.mtime_s, after.etag, after.id),
    )
    return after


def set_limit(writing: Writing, root_id: int, limit_bytes: int) -> None:
    """``limit_bytes``: of a root, NO_LIMIT for the usual one again; root 0 stands for the whole collectivité."""
    writing.run("DELETE FROM quota WHERE root = ?", (root_id,))
    writing.forget_rooms()
    if limit_bytes != NO_LIMIT:
        writing.has_limits = True
        writing.run("INSERT INTO quota (root, limit_bytes) VALUES (?, ?)", (root_id, limit_bytes))


# -- what changes are made of, here and in trash, versions, ways ------------------------------------------------


def node_at(writing: Writing, node_id: int) -> Node:
    found = node(writing, node_id)
    if found is None:
        raise AbsentNode("file")
    return found


def movable(writing: Writing, node_id: int) -> Node:
    found = node_at(writing, node_id)
    if not found.parent:
        raise RootFixed
    return found


def folder_at(writing: Writing, node_id: int) -> Node:
    found = node(writing, node_id)
    if found is None or not found.is_folder:
        raise ParentAbsent("folder")
    return found


def insert(
    writing: Writing,
    parent: int,
    name: str,
    is_folder: bool,
    content: Content,
    *,
    mtime_s: int,
    now_s: int,
    properties: str = "",
) -> Node:
    made = Node(
        id=writing.number(),
        parent=parent,
        name=name,
        is_folder=int(is_folder),
        size_bytes=content.size_bytes,
        mtime_s=mtime_s,
        etag=writing.number(),
        created_s=now_s,
        sha1="" if is_folder else content.sha1,
        sha256="" if is_folder else content.sha256,
        manifest=content.manifest,
        properties=properties,
    )
    writing.run(
        "INSERT INTO node (id, parent, name, is_folder, size_bytes, mtime_s, etag, created_s, sha1, sha256, manifest,"
        " properties, folded) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*made, names.folded(name)),
    )
    return made


def note(writing: Writing, act: Act, kind: Kind, one: Node, etag: int, *, before: int) -> None:
    """``one``: as it was; of a new node, as it is. Errors: Sealed."""
    seals.refuse(writing, one.id, one.parent, names=kind != "properties")
    seen = (one.id, one.parent, one.name, one.is_folder, one.size_bytes, one.mtime_s)
    writing.run(
        "INSERT INTO change (number, at_s, kind, node, parent, name, is_folder, size_bytes, mtime_s, etag_before,"
        " person_id, device_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (etag, act.now_s, kind, *seen, before, act.person_id, act.device_id),
    )


# -- inside --------------------------------------------------------------------------------------------------


def _refuse_taken(writing: Writing, parent: int, name: str) -> None:
    if taken(writing, parent, name):
        raise NameTaken("name")


def _make_way(
    writing: Writing, act: Act, parent: int, name: str, *, overwrite: bool, besides: int | None = None
) -> bool:
    """Free the name in a folder; True when nothing stood there. ``besides``: a node that may hold it in other
    capitals, for it is the one that moves."""
    there = taken(writing, parent, name)
    if there is None or there.id == besides:
        return True
    if not overwrite or there.name != name:
        raise NameTaken("name")
    require(writing, act, there, deep=True)
    discard(writing, act, there)
    return False
