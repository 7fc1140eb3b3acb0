"""What pages show of the boîtiers, in the words of a commune."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

from beffroi.boxes import queries as boxes
from beffroi.boxes.queries import BoxState
from beffroi.core.identity.actor import Actor
from beffroi.portal import words


@dataclass(frozen=True)
class BoxLine:
    """One boîtier: a sentence and the name of its state."""

    sentence: str
    state: str


def own_boxes(actor: Actor) -> Sequence[BoxLine]:
    """The boîtiers of the commune that are not revoked."""
    return [line(one) for one in boxes.box_states(actor) if one.box.state != "revoked"]


def line(one: BoxState) -> BoxLine:
    """How this boîtier is, for those who live behind it."""
    if one.box.state == "pending":
        return BoxLine(_("Votre boîtier attend la confirmation du Département."), "pending")
    if one.silent:
        seen = words.when(one.box.last_seen_at)
        if not seen:
            return BoxLine(_("Votre boîtier n’a encore donné aucun signe."), "silent")
        said = _(
            "Votre boîtier ne répond plus depuis : %(when)s. S’il est allumé, il applique toujours sa dernière liste."
        )
        return BoxLine(said % {"when": seen}, "silent")
    return BoxLine(
        _("Votre boîtier applique la liste commune ; dernier signe : %(when)s.")
        % {"when": words.when(one.box.last_seen_at)},
        "box_active",
    )
