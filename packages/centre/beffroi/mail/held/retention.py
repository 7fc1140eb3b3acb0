"""What is over is forgotten; what is held stays on the list as long as it is held, seen or not."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from beffroi.core.retention.registry import Category, category
from beffroi.mail.held.models import HeldMail, Lesson
from beffroi.mail.models import Mailbox

KEEP_DAYS = 30


def held_mails(cutoff: datetime) -> QuerySet[HeldMail]:
    """Released, blocked, given back or gone; never one that is held in a mailbox that somebody may open."""
    opened = Mailbox.objects.filter(closed_at=None).values("id")
    rows = HeldMail.objects.filter(changed_at__lt=cutoff)
    return rows.exclude(state=HeldMail.State.HELD, mailbox_id__in=opened)


def erase(ids: list[Any]) -> int:
    Lesson.objects.filter(held_id__in=ids).delete()
    return HeldMail.objects.filter(pk__in=ids).delete()[0]


category(Category("held_mails", 25, KEEP_DAYS, held_mails, erase))
