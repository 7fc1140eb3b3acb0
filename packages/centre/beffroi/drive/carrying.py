"""Moves that know whose files they are.

Rule:    what leaves a share is copied, and the original goes to its owner's trash: who was let in takes nothing away
         that its owner cannot have back.
"""

from __future__ import annotations

from beffroi.drive.store import tree
from beffroi.drive.store.model import Act, Node
from beffroi.drive.store.writing import Writing
from beffroi.drive.views import Place


def move(
    writing: Writing, act: Act, place: Place, folder: Node, name: str, *, overwrite: bool = False
) -> tuple[Node, bool]:
    """As ``tree.move``; both lie in one collectivité, and who may do it was decided."""
    if place.rights.is_shared and writing.root_of(place.node.parent) != writing.root_of(folder.id):
        made, is_fresh = tree.copy(writing, act, place.node.id, folder.id, name, overwrite=overwrite)
        tree.delete(writing, act, place.node.id)
        return made, is_fresh
    return tree.move(writing, act, place.node.id, folder.id, name, overwrite=overwrite)
