"""How pages ask for a person's calendars and address books, and what of them other pages need."""

from __future__ import annotations

from django.conf import settings
from django.utils.translation import gettext as _

from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.drive.calendars import homes, wire, wire_contacts
from beffroi.drive.calendars.asking import Asking
from beffroi.lib.errors import BeffroiError, NotAllowed, NotFound
from beffroi.portal import invitation_words

CALENDARS: dict[str, wire.Calendar] = {"prive": "own", "commun": "shared"}
SHOWN: dict[str, wire.Calendar] = CALENDARS | {"remis": "handed"}
WORDS: dict[wire.Calendar, str] = {calendar: word for word, calendar in SHOWN.items()}
"""As addresses of pages name them, where they are changed and where they are shown, and back. A room has one name."""


def calendar_of(word: str) -> wire.Calendar:
    """``word``: of CALENDARS, or a room."""
    return CALENDARS.get(word, word)


def word_of(calendar: wire.Calendar) -> str:
    return WORDS.get(calendar, calendar)


def is_room(word: str) -> bool:
    return word.startswith(homes.ROOM)


def taken(booking: wire.Booking) -> str:
    """What is in the way of a booking, and whose it is."""
    said = _("« %(room)s » n’est pas libre : « %(title)s », %(when)s.") % {
        "room": booking.of,
        "title": booking.title or _("Sans titre"),
        "when": invitation_words.when(booking.starts, booking.ends, all_day=booking.all_day),
    }
    name = identity.person_name(booking.by) if booking.by else ""
    return said + (" " + _("Réservé par %(name)s.") % {"name": name} if name else "")


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


def require_new(actor: Actor, calendar: str, *, rooms: bool = False) -> None:
    """``calendar``: what a form says; ``rooms``: whether it may be one. Errors: NotAllowed (another word, or what one
    does not write in)."""
    is_known = calendar in CALENDARS or (rooms and is_room(calendar))
    if not is_known or (calendar != "prive" and actor.role not in homes.WRITERS):
        raise NotAllowed("write in what is shared")


def require_change(actor: Actor, calendar: str) -> None:
    """``calendar``: a word of CALENDARS, or a room. Errors: NotFound (what one does not see), NotAllowed (what one only
    reads)."""
    if calendar != "prive" and actor.role not in homes.READERS:
        raise NotFound("entry")
    if calendar != "prive" and actor.role not in homes.WRITERS:
        raise NotAllowed("change what is shared")
