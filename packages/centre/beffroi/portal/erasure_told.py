"""Référents and élus of a collectivité hear by mail that all of its Coffre is to be erased, and that it is not any
more: the day in which it can be called back may be a Sunday.

Process: worker. Composes a mail with the portal's words and addresses.
Fails:   Postfix away: the event is tried again; who was told is not told twice. A kill between Postfix's word and the
         note of it sends it once more.
"""

from __future__ import annotations

from django.conf import settings
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import translation

from beffroi.core.approvals.models import Approval
from beffroi.core.communes.models import Collectivite
from beffroi.core.identity import limits
from beffroi.core.identity import queries as identity
from beffroi.core.identity.models import Membership
from beffroi.drive import erasures
from beffroi.drive.store import keys
from beffroi.mail.held import links, posting
from beffroi.mail.models import Mailbox
from beffroi.portal import words
from beffroi.portal.held_digest import LANGUAGE, PORTAL_URLS

TOLD = (Membership.Role.REFERENT, Membership.Role.ELU)
APART_S = 7 * 86400
"""In which a mail of one decision is sent once."""


def tell(*, approval_id: str, is_granted: bool) -> int:
    """How many mails left. Nothing is told that is not true any more. Errors: MailNotTaken."""
    approval = Approval.objects.filter(pk=approval_id, verb=erasures.VERB).first()
    if approval is None or is_granted != (approval.state == Approval.State.GRANTED):
        return 0
    if keys.certificate(settings.BEFFROI, approval.subject_id) is not None:
        return 0
    owner = Collectivite.objects.get(pk=approval.subject_id)
    persons = identity.persons_in_role(owner.id, TOLD)
    with translation.override(LANGUAGE):
        context = {
            "commune": owner.name,
            "when": words.since(erasures.due_at(approval)) if is_granted else "",
            "page": links.address(settings.BEFFROI, reverse("drive", urlconf=PORTAL_URLS)),
        }
        subject = "Tout le Coffre sera effacé" if is_granted else "Le Coffre ne sera pas effacé"
        text = render_to_string("file/drive_erasure.txt", context)
        html = render_to_string("file/drive_erasure.html", context)
    sent = 0
    for mailbox in Mailbox.objects.filter(collectivite_id=owner.id, closed_at=None, person_id__in=persons):
        parts = (approval.id, subject, mailbox.id)
        if limits.used_up("erasure_told", *parts, limit=1, window_s=APART_S):
            continue
        if not posting.send(settings.BEFFROI, to=mailbox.address, subject=subject, text=text, html=html):
            continue
        limits.count("erasure_told", *parts, window_s=APART_S)
        sent += 1
    return sent
