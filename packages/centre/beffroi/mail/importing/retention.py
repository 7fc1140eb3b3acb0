"""How long an import that is over is remembered: its folders, what it could not copy, who wrote to the old address.

The mails themselves are the commune's archive: nothing of them is deleted here.
"""

from __future__ import annotations

from datetime import datetime

from django.db.models import QuerySet

from beffroi.core.retention.registry import Category, category
from beffroi.mail.importing.models import ImportJob


def ended(cutoff: datetime) -> QuerySet[ImportJob]:
    over = (ImportJob.State.DONE, ImportJob.State.CANCELLED)
    return ImportJob.objects.filter(state__in=over, done_at__lt=cutoff)


category(Category("imports", 26, "retention_messages_days", ended, batch=20))
