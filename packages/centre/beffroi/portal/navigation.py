"""Where the navigation of each listener leads, in its order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

from beffroi.core.identity.actor import Actor

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise


@dataclass(frozen=True)
class Place:
    """``code``: what a page of this place calls itself. ``url``: its name. ``roles``: who has it; () for all."""

    code: str
    url: str
    label: _StrPromise
    icon: str
    roles: tuple[str, ...] = ()


PORTAL = (
    Place("home", "home", _("Accueil"), "house"),
    Place("weather", "weather", _("Météo"), "sun"),
    Place("mail", "mail", _("Courrier"), "mail"),
    Place("agenda", "agenda", _("Agenda"), "calendar"),
    Place("contacts", "contacts", _("Contacts"), "users"),
    Place("held", "held", _("Retenus"), "inbox"),
    Place("drive", "drive", _("Coffre"), "folder"),
    Place("incidents", "incidents", _("Dossiers"), "shield-alert"),
    Place("blocks", "blocks", _("Blocages"), "ban"),
    Place("persons", "persons", _("Personnes"), "user-round", ("referent",)),
    Place("journal", "own_journal", _("Journal"), "scroll-text", ("referent", "dpo")),
    Place("access", "access", _("Mon accès"), "key-round"),
)
CONSOLE = (
    Place("overview", "home", _("Vue d’ensemble"), "house"),
    Place("weather", "weather", _("Météo"), "sun"),
    Place("campaigns", "campaigns", _("Décisions"), "gavel"),
    Place("incidents", "incidents", _("Dossiers"), "shield-alert"),
    Place("mail", "outgoing", _("Courrier"), "mail"),
    Place("boxes", "boxes", _("Boîtiers"), "router"),
    Place("sources", "sources", _("Sources"), "network"),
    Place("communes", "communes", _("Communes"), "landmark"),
    Place("journal", "journal", _("Journal"), "scroll-text"),
)


def places(actor: Actor) -> list[Place]:
    """Those that this person or administrator has."""
    found = CONSOLE if actor.kind == "administrator" else PORTAL
    return [one for one in found if not one.roles or actor.role in one.roles]
