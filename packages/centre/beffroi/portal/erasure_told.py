"""Référents and élus of a collectivité hear by mail that all of its Coffre is to be erased, and that it is not any
more: the day in which it can be called back may be a Sunday.

Process: worker. Composes a mail with the portal's words and addresses.
"""

from __future__ import annotations

from django.conf import settings

from beffroi.core.approvals.models import Approval
from beffroi.core.communes.models import Collectivite
from beffroi.drive import erasures
from beffroi.drive.store import keys
from beffroi.mail.held import notices
from beffroi.mail.held.models import Notice
from beffroi.mail.models import Mailbox
from beffroi.portal import words
from beffroi.portal.letters import letter, mailboxes_of_those_who_answer, page

GRANTED, WITHDRAWN = "erasure", "erasure_withdrawn"


def ask(*, approval_id: str, is_granted: bool) -> None:
    approval = Approval.objects.filter(pk=approval_id, verb=erasures.VERB).first()
    if approval is not None:
        told = mailboxes_of_those_who_answer(approval.subject_id)
        notices.ask(GRANTED if is_granted else WITHDRAWN, approval.id, told)


def compose(notice: Notice, mailbox: Mailbox) -> notices.Letter | None:
    """Nothing that is not true any more."""
    approval, is_granted = Approval.objects.get(pk=notice.ref), notice.about == GRANTED
    if is_granted != (approval.state == Approval.State.GRANTED):
        return None
    if keys.certificate(settings.BEFFROI, approval.subject_id) is not None:
        return None
    context = {
        "commune": Collectivite.objects.get(pk=approval.subject_id).name,
        "when": words.since(erasures.due_at(approval)) if is_granted else "",
        "page": page("drive"),
    }
    subject = "Tout le Coffre sera effacé" if is_granted else "Le Coffre ne sera pas effacé"
    return letter(subject, "drive_erasure", context)
