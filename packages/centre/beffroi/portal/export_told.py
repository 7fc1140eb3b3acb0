"""Référents and élus of a collectivité hear by mail that all of it is being exported, and how that ended.

Process: worker. Composes a mail with the portal's words and addresses.
Fails:   Postfix away: the event is tried again; who was told is not told twice.
"""

from __future__ import annotations

from django.conf import settings
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import translation

from beffroi.core.communes.models import Collectivite, CommuneExport
from beffroi.core.identity import limits
from beffroi.core.identity import queries as identity
from beffroi.mail.held import links, posting
from beffroi.mail.models import Mailbox
from beffroi.portal.erasure_told import APART_S, TOLD
from beffroi.portal.held_digest import LANGUAGE, PORTAL_URLS

SUBJECTS = {
    "running": "Le Département exporte tout ce qui est à la commune",
    "done": "L’export de la commune est terminé",
    "stopped": "L’export de la commune est arrêté",
}


def tell(export_id: str) -> int:
    """Of its state now; how many mails left. Errors: MailNotTaken."""
    export = CommuneExport.objects.filter(pk=export_id).first()
    if export is None:
        return 0
    owner = Collectivite.objects.get(pk=export.collectivite_id)
    persons = identity.persons_in_role(owner.id, TOLD)
    subject = SUBJECTS[export.state]
    with translation.override(LANGUAGE):
        page = reverse("commune_export", args=[export.id], urlconf=PORTAL_URLS)
        context = {
            "commune": owner.name,
            "export": export,
            "subject": subject,
            "page": links.address(settings.BEFFROI, page),
        }
        text = render_to_string("file/commune_export.txt", context)
        html = render_to_string("file/commune_export.html", context)
    sent = 0
    for mailbox in Mailbox.objects.filter(collectivite_id=owner.id, closed_at=None, person_id__in=persons):
        parts = (export.id, export.state, mailbox.id)
        if limits.used_up("export_told", *parts, limit=1, window_s=APART_S):
            continue
        posting.send(settings.BEFFROI, to=mailbox.address, subject=subject, text=text, html=html)
        limits.count("export_told", *parts, window_s=APART_S)
        sent += 1
    return sent
