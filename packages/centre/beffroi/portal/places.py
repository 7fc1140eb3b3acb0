"""What pages show of the boîtiers, in the words of a commune."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

from beffroi.boxes import fleet
from beffroi.boxes.fleet import FleetRow
from beffroi.core.identity.actor import Actor
from beffroi.portal import words


@dataclass(frozen=True)
class BoxLine:
    """One boîtier: a sentence and the name of its state."""

    sentence: str
    state: str


def own_boxes(actor: Actor) -> Sequence[BoxLine]:
    """The boîtiers of the commune that are not revoked."""
    return [line(one) for one in fleet.fleet(actor)]


def line(one: FleetRow) -> BoxLine:
    """How this boîtier is, for those who live behind it."""
    if one.box.state == "pending":
        return BoxLine(_("Votre boîtier attend la confirmation du Département."), "pending")
    seen = words.when(one.box.last_seen_at)
    if "silent" in one.flags:
        if not seen:
            return BoxLine(_("Votre boîtier n’a encore donné aucun signe."), "silent")
        said = _(
            "Votre boîtier ne répond plus depuis : %(when)s. S’il est allumé, il applique toujours sa dernière liste."
        )
        return BoxLine(said % {"when": seen}, "silent")
    if not one.enforces:
        said = _(
            "Votre boîtier compte ce qui est sur la liste commune et le laisse passer ; dernier signe : %(when)s."
        )
        return BoxLine(said % {"when": seen}, "observing")
    if "behind" in one.flags:
        said = _("Votre boîtier n’applique pas encore les dernières décisions ; dernier signe : %(when)s.")
        return BoxLine(said % {"when": seen}, "behind")
    said = _("Votre boîtier applique la liste commune ; dernier signe : %(when)s.")
    return BoxLine(said % {"when": seen}, "box_active")
