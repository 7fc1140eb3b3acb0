"""Moves that know whose files they are.

Rule:    what leaves a share is copied, and the original goes to its owner's trash: who was let in takes nothing away
         that its owner cannot have back. So is what comes where who shares it may share nothing: the copy is shared
         with nobody, or whoever may write in somebody's folder would give it to others.
"""

from __future__ import annotations

from beffroi.drive.store import look, schema, shares, tree
from beffroi.drive.store.model import Act, Node
from beffroi.drive.store.writing import Writing
from beffroi.drive.views import Place


def move(
    writing: Writing, act: Act, place: Place, into: Place, name: str, *, overwrite: bool = False
) -> tuple[Node, bool]:
    """As ``tree.move``; both lie in one collectivité, and who may do it was decided."""
    if writing.root_of(place.node.parent) != writing.root_of(into.node.id) and (
        place.rights.is_shared or _is_shared_by_others(writing, act, place.node, into)
    ):
        made, is_fresh = tree.copy(
            writing, act, place.node.id, into.node.id, name, overwrite=overwrite, moves=True
        )
        tree.delete(writing, act, place.node.id)
        return made, is_fresh
    return tree.move(writing, act, place.node.id, into.node.id, name, overwrite=overwrite)


def _is_shared_by_others(writing: Writing, act: Act, moved: Node, into: Place) -> bool:
    """Whether it, or something in it, is shared by somebody who may not share it in ``into``: in a person's own folder
    everybody else, in the common one who got in by a share."""
    root = look.above(writing, into.node.id)[-1].name
    if not root.startswith(schema.HOME) and not into.rights.is_shared:
        return False
    owner = root.removeprefix(schema.HOME)
    return any(one.created_by != owner for one in shares.inside(writing, moved.id, now_s=act.now_s))
