"""How long restores are kept in the tables; the audit log keeps that they were made."""

from __future__ import annotations

from datetime import datetime

from django.db.models import QuerySet

from beffroi.core.retention.registry import Category, category
from beffroi.mail.backup.models import Restore

KEPT_DAYS = 90


def restores(cutoff: datetime) -> QuerySet[Restore]:
    """Also those that nobody carried out."""
    return Restore.objects.filter(changed_at__lt=cutoff)


category(Category("restores", 120, KEPT_DAYS, restores))
