"""How long answered requests for a second person are kept."""

from __future__ import annotations

from datetime import datetime

from django.db.models import QuerySet

from beffroi.core.approvals.models import Approval
from beffroi.core.retention.registry import Category, category


def answered(cutoff: datetime) -> QuerySet[Approval]:
    past = Approval.objects.exclude(state=Approval.State.REQUESTED)
    return past.filter(requested_at__lt=cutoff, expires_at__lt=cutoff)


category(Category("approvals", 13, "retention_evidence_days", answered))
