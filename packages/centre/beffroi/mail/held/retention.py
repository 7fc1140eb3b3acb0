"""What is over is forgotten; what is held stays on the list as long as it is held, seen or not."""

from __future__ import annotations

from datetime import datetime

from django.db.models import QuerySet

from beffroi.core.retention.registry import Before, Category, category
from beffroi.mail.held.models import HeldMail, Lesson, Notice, SenderRule
from beffroi.mail.models import Mailbox

KEEP_DAYS = 30


def held_mails(cutoff: datetime) -> QuerySet[HeldMail]:
    """Released, blocked, given back or gone; what is held only where the mailbox was closed as long ago: until then
    a departure is undone, and without the list nobody would find what lies in quarantine."""
    alive = Mailbox.objects.exclude(closed_at__lt=cutoff).values("id")
    rows = HeldMail.objects.filter(changed_at__lt=cutoff)
    return rows.exclude(state=HeldMail.State.HELD, mailbox_id__in=alive)


# That another one replaced, or that were taken back.
category(Category("former_sender_rules", 39, "retention_accounts_days", Before(SenderRule, "ended_at")))
category(Category("held_mails", 25, KEEP_DAYS, held_mails))
# Taught, taken back or failed; what waits for rspamd is as old as a quarter of an hour, or as its failure.
category(Category("mail_lessons", 29, KEEP_DAYS, Before(Lesson, "queued_at")))
# What was said; what waits is given up much sooner (``notices``).
category(Category("notices", 34, KEEP_DAYS, Before(Notice, "told_at")))
