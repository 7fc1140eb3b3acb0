"""How pages ask for a person's calendars and address books, and what of them other pages need."""

from __future__ import annotations

from django.conf import settings

from beffroi.core.identity.actor import Actor
from beffroi.drive.calendars import homes, wire, wire_contacts
from beffroi.drive.calendars.asking import Asking
from beffroi.lib.errors import BeffroiError, NotAllowed, NotFound

CALENDARS: dict[str, wire.Calendar] = {"prive": "own", "commun": "shared"}
SHOWN: dict[str, wire.Calendar] = CALENDARS | {"remis": "handed"}
WORDS: dict[wire.Calendar, str] = {calendar: word for word, calendar in SHOWN.items()}
"""As addresses of pages name them, where they are changed and where they are shown, and back."""


def asking(actor: Actor) -> Asking:
    """Errors: NotFound."""
    if actor.collectivite_id is None:
        raise NotFound("calendar")
    return Asking(
        settings.BEFFROI,
        person_id=actor.id,
        collectivite_id=actor.collectivite_id,
        shared=actor.role in homes.READERS,
        write=actor.role in homes.WRITERS,
    )


def suggestions(actor: Actor) -> list[tuple[str, str]]:
    """(name, address) of this person's contacts, to write to; none where their process does not answer."""
    try:
        found = asking(actor).contacts(wire_contacts.Sought())
    except BeffroiError:
        return []
    return [(one.title, address) for one in found.contacts for address in one.emails]


def require_new(actor: Actor, calendar: str) -> None:
    """``calendar``: what a form says. Errors: NotAllowed (no word of CALENDARS, or what one does not write in)."""
    if calendar not in CALENDARS or (calendar == "commun" and actor.role not in homes.WRITERS):
        raise NotAllowed("write in what is shared")


def require_change(actor: Actor, calendar: str) -> None:
    """``calendar``: a word of CALENDARS. Errors: NotFound (what one does not see), NotAllowed (what one only reads)."""
    if calendar == "commun" and actor.role not in homes.READERS:
        raise NotFound("entry")
    if calendar == "commun" and actor.role not in homes.WRITERS:
        raise NotAllowed("change what is shared")
