"""Who made a drop link hears by mail that files come by it: at most once an hour, however many come.

Process: worker. Composes a mail with the portal's words and addresses.
Privacy: the mail names neither the sender nor a file: both are read in the Coffre. Nothing of it goes to a log.
Fails:   Postfix away: the event is tried again. A kill between Postfix's word and the note of it sends it once more.
"""

from __future__ import annotations

from django.conf import settings
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import translation

from beffroi.core.identity import limits
from beffroi.core.identity import queries as identity
from beffroi.drive.store import shares
from beffroi.drive.store.model import AbsentNode
from beffroi.drive.store.names import in_order
from beffroi.mail.held import links, posting
from beffroi.mail.models import Mailbox
from beffroi.portal.drive_access import metadata_of
from beffroi.portal.held_digest import LANGUAGE, PORTAL_URLS

APART_S = 3600


def tell(*, collectivite_id: str, share_id: str, person_id: str) -> bool:
    """Whether a mail left: not to who has no mailbox here, nor has left. Errors: MailNotTaken, Unavailable."""
    if limits.used_up("drop_told", share_id, limit=1, window_s=APART_S):
        return False
    mailbox = Mailbox.objects.filter(
        person_id=person_id, collectivite_id=collectivite_id, closed_at=None
    ).first()
    if mailbox is None or not identity.belongs(person_id, collectivite_id):
        return False
    try:
        with metadata_of(collectivite_id).reading() as reading:
            share = shares.find_link(reading, share_id)
    except AbsentNode:
        return False
    with translation.override(LANGUAGE):
        page = links.address(settings.BEFFROI, reverse("drive_drops", args=[share.node], urlconf=PORTAL_URLS))
        context = {"name": in_order(share.label), "page": page}
        subject = "Des fichiers arrivent dans votre Coffre"
        text = render_to_string("file/drop.txt", context)
        html = render_to_string("file/drop.html", context)
    if not posting.send(settings.BEFFROI, to=mailbox.address, subject=subject, text=text, html=html):
        return False
    limits.count("drop_told", share_id, window_s=APART_S)
    return True
