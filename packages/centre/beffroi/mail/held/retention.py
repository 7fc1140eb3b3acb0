"""What is over is forgotten; what is held stays on the list as long as it is held, seen or not."""

from __future__ import annotations

from datetime import datetime

from django.db.models import QuerySet

from beffroi.core.retention.registry import Category, category
from beffroi.mail.held.models import HeldMail, Lesson, Notice, SenderRule
from beffroi.mail.models import Mailbox

KEEP_DAYS = 30


def held_mails(cutoff: datetime) -> QuerySet[HeldMail]:
    """Released, blocked, given back or gone; what is held only where the mailbox was closed as long ago: until then
    a departure is undone, and without the list nobody would find what lies in quarantine."""
    alive = Mailbox.objects.exclude(closed_at__lt=cutoff).values("id")
    rows = HeldMail.objects.filter(changed_at__lt=cutoff)
    return rows.exclude(state=HeldMail.State.HELD, mailbox_id__in=alive)


def lessons(cutoff: datetime) -> QuerySet[Lesson]:
    """Taught, taken back or failed; what waits for rspamd is as old as a quarter of an hour, or as its failure."""
    return Lesson.objects.filter(queued_at__lt=cutoff)


def former_rules(cutoff: datetime) -> QuerySet[SenderRule]:
    """That another one replaced, or that were taken back."""
    return SenderRule.objects.filter(ended_at__lt=cutoff)


def notices(cutoff: datetime) -> QuerySet[Notice]:
    """What was said; what waits is given up much sooner (``notices``)."""
    return Notice.objects.filter(told_at__lt=cutoff)


category(Category("former_sender_rules", 39, "retention_accounts_days", former_rules))
category(Category("held_mails", 25, KEEP_DAYS, held_mails))
category(Category("mail_lessons", 29, KEEP_DAYS, lessons))
category(Category("notices", 34, KEEP_DAYS, notices))
