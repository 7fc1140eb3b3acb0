"""What is over is forgotten: ended absences soon, ended forwards as long as an incident may ask for them."""

from __future__ import annotations

from datetime import datetime

from django.db.models import QuerySet

from beffroi.core.retention.registry import Before, Category, category
from beffroi.mail.filters.models import Absence, Forward

KEEP_ABSENCES_DAYS = 30


def absences(cutoff: datetime) -> QuerySet[Absence]:
    return Absence.objects.filter(ends_at__lt=cutoff) | Absence.objects.filter(ended_at__lt=cutoff)


category(Category("absences", 32, KEEP_ABSENCES_DAYS, absences))
category(Category("forwards", 33, "retention_evidence_days", Before(Forward, "ended_at")))
