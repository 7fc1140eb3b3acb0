"""Référents and élus of a collectivité hear by mail that its departure was recorded, by whomever, or taken back.

Process: worker. Composes a mail with the portal's words and addresses.
Fails:   Postfix away: the event is tried again; who was told is not told twice.
"""

from __future__ import annotations

from django.conf import settings
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import translation

from beffroi.core.communes.models import Collectivite
from beffroi.core.identity import limits
from beffroi.core.identity import queries as identity
from beffroi.leaving.models import Leaving
from beffroi.mail.held import links, posting
from beffroi.mail.models import Mailbox
from beffroi.portal.dates import date_format
from beffroi.portal.erasure_told import APART_S, TOLD
from beffroi.portal.held_digest import LANGUAGE, PORTAL_URLS


def tell(leaving_id: str) -> int:
    """Of its state now; how many mails left. Errors: MailNotTaken."""
    leaving = Leaving.objects.filter(pk=leaving_id).exclude(state=Leaving.State.LEFT).first()
    if leaving is None:
        return 0
    owner, planned = Collectivite.objects.get(pk=leaving.collectivite_id), leaving.state == "planned"
    persons = identity.persons_in_role(owner.id, TOLD)
    with translation.override(LANGUAGE):
        on = date_format(leaving.leaves_on, "j F Y")
        subject = f"La collectivité quitte le Département le {on}" if planned else "La collectivité reste"
        context = {
            "commune": owner.name,
            "leaving": leaving,
            "on": on,
            "planned": planned,
            "subject": subject,
            "page": links.address(settings.BEFFROI, reverse("departure_of_all", urlconf=PORTAL_URLS)),
        }
        text = render_to_string("file/leaving.txt", context)
        html = render_to_string("file/leaving.html", context)
    sent = 0
    for mailbox in Mailbox.objects.filter(collectivite_id=owner.id, closed_at=None, person_id__in=persons):
        parts = (leaving.id, leaving.state, mailbox.id)
        if limits.used_up("leaving_told", *parts, limit=1, window_s=APART_S):
            continue
        posting.send(settings.BEFFROI, to=mailbox.address, subject=subject, text=text, html=html)
        limits.count("leaving_told", *parts, window_s=APART_S)
        sent += 1
    return sent
