"""How long an import that is over is remembered: its folders, what it could not copy, who wrote to the old address. And
how long one that nobody goes on with keeps the password of the old mailbox.

The mails themselves are the commune's archive: nothing of them is deleted here.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet

from beffroi.core.retention.registry import Before, Category, category
from beffroi.mail.importing import actions, queries
from beffroi.mail.importing.models import ImportJob

ABANDONED_DAYS = 30

_ended = Before(ImportJob, "done_at", Q(state__in=(*queries.OVER, ImportJob.State.UNDONE)))


def abandoned(cutoff: datetime) -> QuerySet[ImportJob]:
    """Those that wait for a person, or for a command that ended badly: none of them is taken up by itself."""
    waits = Q(state__in=(ImportJob.State.READY, ImportJob.State.PAUSED))
    archive = Q(tls=ImportJob.Tls.NONE, state=ImportJob.State.RUNNING)
    return ImportJob.objects.filter(waits | archive, next_run_at__lt=cutoff)


def _end(ids: list[Any]) -> int:
    return actions.end_all(ImportJob.objects.filter(pk__in=ids))


category(Category("abandoned_imports", 38, ABANDONED_DAYS, abandoned, _end, batch=20))
category(Category("imports", 26, "retention_messages_days", _ended, batch=20))
