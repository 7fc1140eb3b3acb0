"""The owner of a mailbox hears by mail that a référent lent it to a colleague.

Process: worker. Composes mail's rows with the portal's words and addresses.
Privacy: the mail says who, until when and why, to the one mailbox; it is marked as personal, so the delegate does not
         see it. Nothing of it goes to a log.
Fails:   Postfix away: the event is tried again. A kill between Postfix's word and the note of it sends it once more.
"""

from __future__ import annotations

from django.conf import settings
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import translation

from beffroi.core.identity import queries as identity
from beffroi.lib import clock
from beffroi.mail.held import links, posting
from beffroi.mail.models import Mailbox
from beffroi.mail.people.models import Delegation
from beffroi.portal import delegation_words as words
from beffroi.portal.held_digest import LANGUAGE, PORTAL_URLS


def tell_owner(delegation_id: str) -> bool:
    """Whether a mail left: not to an owner who lent it, not twice, not into a full mailbox. Errors: MailNotTaken."""
    row = Delegation.objects.filter(pk=delegation_id, told_at=None).first()
    mailbox = Mailbox.objects.filter(pk=row.mailbox_id, closed_at=None).first() if row else None
    if row is None or mailbox is None or row.by == row.owner_id:
        return False
    with translation.override(LANGUAGE):
        context = {
            "address": mailbox.address,
            "name": identity.person_name(row.person_id),
            "by": identity.person_name(row.by),
            "first": words.day(words.first_day(row)),
            "last": words.day(words.last_day(row)),
            "right": words.RIGHTS[Delegation.Right(row.right)],
            "reason": row.reason,
            "page": links.address(settings.BEFFROI, reverse("delegations", urlconf=PORTAL_URLS)),
        }
        subject = f"Votre boîte est confiée à {context['name']}"
        text = render_to_string("file/delegation.txt", context)
        html = render_to_string("file/delegation.html", context)
    if not posting.send(settings.BEFFROI, to=mailbox.address, subject=subject, text=text, html=html):
        return False
    Delegation.objects.filter(pk=row.pk).update(told_at=clock.now())
    return True
