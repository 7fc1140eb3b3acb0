"""How long the traces of a message are kept. Mailboxes are the communes' archive: nothing of them is deleted here.

A decision that is kept keeps the messages whose copies it moved, so that its undoing still finds them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from beffroi.core.decisions.models import Decision
from beffroi.core.retention.registry import Before, Category, category
from beffroi.mail import sendings
from beffroi.mail.held import retention as held_retention  # noqa: F401 - registers its own
from beffroi.mail.models import (
    MailDelivery,
    MailMessage,
    MailObservation,
    MailRecipient,
    MailText,
    MailTextBand,
    RemediationItem,
    RemediationJob,
    Sending,
)

SETTING = "retention_messages_days"
SENDINGS_DAYS = 30
_OVER = (RemediationJob.State.DONE, RemediationJob.State.REFUSED)

_sendings = Before(Sending, "changed_at", ~Q(state__in=sendings.OPEN))


def jobs(cutoff: datetime) -> QuerySet[RemediationJob]:
    """Withdrawals and returns that are over, of decisions that are gone (they went before)."""
    kept = Decision.objects.filter(pk=OuterRef("decision_id"))
    return RemediationJob.objects.filter(state__in=_OVER, created_at__lt=cutoff).exclude(Exists(kept))


def items(cutoff: datetime) -> QuerySet[RemediationItem]:
    return RemediationItem.objects.filter(job__in=jobs(cutoff).values("pk"))


def empty_jobs(cutoff: datetime) -> QuerySet[RemediationJob]:
    return jobs(cutoff).exclude(Exists(RemediationItem.objects.filter(job=OuterRef("pk"))))


def messages(cutoff: datetime) -> QuerySet[MailMessage]:
    moved = RemediationItem.objects.filter(message_id=OuterRef("pk"))
    return MailMessage.objects.filter(received_at__lt=cutoff).exclude(Exists(moved))


def deliveries(cutoff: datetime) -> QuerySet[MailDelivery]:
    """Of messages that are not known here."""
    known = MailMessage.objects.filter(pk=OuterRef("message_id"))
    return MailDelivery.objects.filter(delivered_at__lt=cutoff).exclude(Exists(known))


def texts(cutoff: datetime) -> QuerySet[MailText]:
    """To which no mail was near since; not those that a decision names, which doors go on comparing."""
    named = Decision.objects.filter(kind="sketch", value=OuterRef("value"))
    return MailText.objects.filter(seen_at__lt=cutoff).exclude(Exists(named))


def erase_texts(ids: list[Any]) -> int:
    """With the bands of each, ten rows in two indexes."""
    MailTextBand.objects.filter(text_id__in=ids).delete()
    return MailText.objects.filter(pk__in=ids).delete()[0]


def erase_messages(ids: list[Any]) -> int:
    """With all that is known of them."""
    for model in (MailObservation, MailRecipient, MailDelivery):
        model.objects.filter(message_id__in=ids).delete()
    MailMessage.objects.filter(pk__in=ids).delete()
    return len(ids)


category(Category("withdrawn_copies", 20, "retention_evidence_days", items))
category(Category("withdrawals", 21, "retention_evidence_days", empty_jobs))
category(Category("messages", 22, SETTING, messages, erase_messages, batch=100))
category(Category("texts", 35, SETTING, texts, erase_texts, batch=20))
category(Category("deliveries", 23, SETTING, deliveries))
category(Category("sendings", 24, SENDINGS_DAYS, _sendings))
