"""How pages ask for a person's calendars and address books, and what of them other pages need."""

from __future__ import annotations

from django.conf import settings

from beffroi.core.identity.actor import Actor
from beffroi.drive.calendars import homes, wire_contacts
from beffroi.drive.calendars.asking import Asking
from beffroi.lib.errors import BeffroiError, NotFound


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
