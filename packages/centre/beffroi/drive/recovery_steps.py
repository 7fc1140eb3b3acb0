"""One step of the way back after an alarm (``recovery``), as it is carried out now.

Rule:    what is removed goes to the trash, what is replaced stays a version, also where that is more than there is room
         for: what was encrypted has taken it. What others did since the plan stays.
"""

from __future__ import annotations

from collections.abc import Collection

from beffroi.drive.guard import plan
from beffroi.drive.guard.steps import Copy, Move, Remove, Revert, Revive, Step
from beffroi.drive.store import look, schema, shares, trash, tree, versions
from beffroi.drive.store.model import AbsentNode, Act, Content, Node
from beffroi.drive.store.writing import Reading, Writing
from beffroi.lib.errors import BeffroiError, Conflict

PRESENT = "present"
"""Stands for the version that is the content now; another one by its etag."""


def is_in_trash(reading: Reading, node_id: int) -> bool:
    return not shares.lies(look.above(reading, node_id))


def taken(writing: Writing, act: Act, person_id: str, step: Step, others: Collection[str] = ()) -> bool:
    """False where it cannot be done any more. ``others``: what somebody else did with its node since the plan."""
    try:
        with writing.beyond_room(), writing.beyond_locks():
            take(writing, act, person_id, step, others)
    except BeffroiError:
        return False
    return True


def take(writing: Writing, act: Act, person_id: str, step: Step, others: Collection[str] = ()) -> None:
    """What somebody else did stays, as in ``plan``. Errors: those of ``tree``, of ``versions``."""
    is_placed = not {"moved", "deleted", "returned"}.isdisjoint(others)
    match step:
        case Revert(node, version):
            _put_back(writing, act, int(node), version, others)
        case Move(node, parent, name):
            _require_here(writing, int(node))
            if is_placed:
                raise Conflict("somebody brought it somewhere")
            folder = _folder(writing, act, person_id, parent)
            tree.move(writing, act, int(node), folder, _name_for(writing, int(node), folder, name))
        case Revive(node, parent, name, version):
            folder, one = _folder(writing, act, person_id, parent), tree.node_at(writing, int(node))
            if is_in_trash(writing, one.id):
                trash.bring_back(writing, act, one.id, folder, name)
            elif (one.parent, one.name) != (folder, name) and not is_placed:
                tree.move(writing, act, one.id, folder, _name_for(writing, one.id, folder, name))
            if not one.is_folder:
                _put_back(writing, act, one.id, version, others)
        case Copy(node, version, parent, name):
            folder, kept = _folder(writing, act, person_id, parent), _content(writing, int(node), version)
            if kept.sha256 == tree.node_at(writing, int(node)).sha256:
                return  # somebody put it back already
            tree.put(writing, act, folder, look.free_name(writing, folder, name), kept, if_absent=True)
        case Remove(node):
            if look.children(writing, int(node)):
                raise Conflict("somebody put something into it")
            if others:
                raise Conflict("somebody worked on it")
            _require_here(writing, int(node))
            tree.delete(writing, act, int(node))


def _name_for(reading: Reading, node_id: int, folder: int, name: str) -> str:
    there = look.taken(reading, folder, name)
    return name if there is None or there.id == node_id else look.free_name(reading, folder, name)


def _put_back(writing: Writing, act: Act, node_id: int, version: str, others: Collection[str]) -> None:
    """The content of a version; beside what somebody else wrote since."""
    if "changed" not in others:
        _rewrite(writing, act, node_id, version)
        return
    one, kept = tree.node_at(writing, node_id), _content(writing, node_id, version)
    name = look.free_name(writing, one.parent, plan.beside(one.name))
    tree.put(writing, act, one.parent, name, kept, if_absent=True)


def _require_here(writing: Writing, node_id: int) -> None:
    """Somebody may have deleted it since the plan was made; what lies in the trash is moved by ``trash`` alone."""
    if is_in_trash(writing, node_id):
        raise AbsentNode("file")


def _rewrite(writing: Writing, act: Act, node_id: int, version: str) -> None:
    if version in ("", PRESENT):
        return
    wanted, present = _content(writing, node_id, version), tree.node_at(writing, node_id)
    if wanted.manifest != present.manifest or wanted.size_bytes != present.size_bytes:
        versions.restore(writing, act, node_id, int(version))


def _content(writing: Writing, node_id: int, version: str) -> Content:
    is_present = version == PRESENT
    one = tree.node_at(writing, node_id) if is_present else versions.find(writing, node_id, int(version))
    return Content(one.size_bytes, one.sha1, one.sha256, one.manifest)


def _folder(writing: Writing, act: Act, person_id: str, parent: str) -> int:
    """What has no folder any more goes to the own folder of the device's person, where nobody else sees it."""
    if parent:
        _require_here(writing, int(parent))
        return int(parent)
    home: Node = tree.make_root(writing, schema.HOME + person_id, now_s=act.now_s)
    return home.id
