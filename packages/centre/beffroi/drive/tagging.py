"""What one person does with tags: puts one on what they may write, takes it away, sees what has it.

Rule:    a tag is the collectivité's: who writes for it makes one, whoever may write a file puts one of those that are
         there on it. Nothing of a sealed folder, and nothing of another collectivité, gets one.
Hostile: names, numbers. A file is found as the person sees it, and is absent otherwise.
Source:  docs/decisions/0093-labels-and-direct-links.md.
"""

from __future__ import annotations

from beffroi.drive.store import names, seals, tags
from beffroi.drive.store.model import Act, ReadOnly
from beffroi.drive.store.tags import Tag
from beffroi.drive.store.writing import Reading, Writing
from beffroi.drive.views import Place, View
from beffroi.drive.who import WRITERS


def may_make(view: View) -> bool:
    return view.who.role in WRITERS


def may_tag(reading: Reading, place: Place) -> bool:
    return place.rights.may_write and not seals.Looking(reading).reach(place.node)


def writable(view: View, reading: Reading, node_id: int) -> Place:
    """Errors: AbsentNode, ReadOnly, Sealed."""
    found = view.at(reading, node_id).require_writable()
    seals.require_free(reading, found.node)
    return found


def make(
    view: View, act: Act, writing: Writing, name: str, *, visible: bool = True, assignable: bool = True
) -> Tag:
    """Errors: ReadOnly, those of ``tags.make``."""
    if not may_make(view):
        raise ReadOnly
    return tags.make(writing, act, name, visible=visible, assignable=assignable)


def put(view: View, act: Act, writing: Writing, node_id: int, name: str) -> Tag:
    """The tag of this name, made where there is none; nothing changes where it is on it already.

    Errors: AbsentNode, ReadOnly, Sealed, those of ``tags``.
    """
    node = writable(view, writing, node_id).node
    wanted = names.folded(name)
    known = next((one for one in tags.seen(writing, view.who) if names.folded(one.name) == wanted), None)
    found = known or make(view, act, writing, name)
    if found not in tags.by_node(writing, view.who, [node.id]).get(node.id, []):
        tags.assign(writing, view.who, node.id, found.id)
    return found


def take(view: View, writing: Writing, node_id: int, tag_id: int) -> None:
    """Errors: AbsentNode, ReadOnly, Sealed, AbsentTag, TagRefused."""
    tags.unassign(writing, view.who, writable(view, writing, node_id).node.id, tag_id)
