"""The purge's own reports are kept for a time, too."""

from __future__ import annotations

from datetime import datetime

from django.db.models import QuerySet

from beffroi.core.retention.models import RetentionRun
from beffroi.core.retention.registry import Category, category

KEEP_DAYS = 1100
"""Three years: what an auditor looks back on."""


def _reports(cutoff: datetime) -> QuerySet[RetentionRun]:
    return RetentionRun.objects.filter(finished_at__lt=cutoff)


category(Category("retention_runs", 990, KEEP_DAYS, _reports))
