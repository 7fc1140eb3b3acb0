"""The owner of a mailbox hears by mail that a référent lent it to a colleague.

Process: worker. Composes mail's rows with the portal's words and addresses.
Privacy: the mail says who, until when and why, to the one mailbox; it is marked as personal, so the delegate does not
         see it. Nothing of it goes to a log.
"""

from __future__ import annotations

from beffroi.core.identity import queries as identity
from beffroi.mail.held import notices
from beffroi.mail.held.models import Notice
from beffroi.mail.models import Mailbox
from beffroi.mail.people.models import Delegation
from beffroi.portal import delegation_words as words
from beffroi.portal.letters import letter, page

ABOUT = "delegation"


def ask(delegation_id: str) -> None:
    """Not an owner who lent it."""
    row = Delegation.objects.filter(pk=delegation_id).first()
    if row is not None and row.by != row.owner_id:
        notices.ask(ABOUT, row.id, Mailbox.objects.filter(pk=row.mailbox_id))


def compose(notice: Notice, mailbox: Mailbox) -> notices.Letter | None:
    row = Delegation.objects.filter(pk=notice.ref, owner_id=mailbox.person_id).first()
    if row is None:
        return None
    context = {
        "address": mailbox.address,
        "name": identity.person_name(row.person_id),
        "by": identity.person_name(row.by),
        "first": words.day(words.first_day(row)),
        "last": words.day(words.last_day(row)),
        "right": str(words.RIGHTS[Delegation.Right(row.right)]),
        "reason": row.reason,
        "page": page("delegations"),
    }
    return letter(f"Votre boîte est confiée à {context['name']}", "delegation", context)
