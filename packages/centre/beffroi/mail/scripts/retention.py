"""Scripts of a mailbox that was closed go with the time in which it may be opened again."""

from __future__ import annotations

from datetime import datetime

from django.db.models import QuerySet

from beffroi.core.retention.registry import Category, category
from beffroi.mail.models import Mailbox
from beffroi.mail.scripts.models import PersonalScript

KEEP_DAYS = 30


def scripts(cutoff: datetime) -> QuerySet[PersonalScript]:
    closed = Mailbox.objects.filter(closed_at__lt=cutoff)
    return PersonalScript.objects.filter(mailbox_id__in=closed.values("pk"))


category(Category("scripts", 125, KEEP_DAYS, scripts))
