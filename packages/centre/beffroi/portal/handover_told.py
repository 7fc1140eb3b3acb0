"""Who is handed the files and calendars of somebody who left hears of it by mail, once all of them are there.

Process: worker. Composes a mail with the portal's words and addresses.
Privacy: no name of a file; nothing of the mail goes to a log.
Fails:   Postfix away: the event is tried again. A kill between Postfix's word and the event's end sends it once more.
"""

from __future__ import annotations

from django.conf import settings
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import translation

from beffroi.core.identity import queries as identity
from beffroi.drive.store import handovers, passed
from beffroi.drive.store.model import AbsentNode
from beffroi.mail.held import links, posting
from beffroi.mail.models import Mailbox
from beffroi.portal import departure_calendars as calendars
from beffroi.portal.drive_access import metadata_of
from beffroi.portal.held_digest import LANGUAGE, PORTAL_URLS


def tell(*, collectivite_id: str, handover_id: str) -> bool:
    """Whether a mail left: not where nothing came, nor to who has no mailbox here. Errors: MailNotTaken,
    Unavailable."""
    try:
        with metadata_of(collectivite_id).reading() as reading:
            found = handovers.find(reading, handover_id)
            entries = passed.counts(reading, handover_id)
    except AbsentNode:
        return False
    if found.state not in ("done", "stopped") or not identity.belongs(found.heir, collectivite_id):
        return False
    mailbox = Mailbox.objects.filter(
        person_id=found.heir, collectivite_id=collectivite_id, closed_at=None
    ).first()
    if mailbox is None:
        return False
    with translation.override(LANGUAGE):
        context = {
            "name": identity.person_name(found.person_id) or "une personne partie",
            "page": _address("drive_node", found.folder) if found.folder else "",
            "beside": calendars.counted(entries),
            "agenda": _address("agenda"),
        }
        subject = "Ce qu’un collègue a laissé vous est remis"
        text = render_to_string("file/handover.txt", context)
        html = render_to_string("file/handover.html", context)
    return posting.send(settings.BEFFROI, to=mailbox.address, subject=subject, text=text, html=html)


def _address(name: str, *arguments: int) -> str:
    return links.address(settings.BEFFROI, reverse(name, args=arguments, urlconf=PORTAL_URLS))
