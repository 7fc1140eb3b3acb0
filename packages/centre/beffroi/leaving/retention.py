"""How long departures that were taken back, and requests that came to nothing, are kept. What was done is the proof of
an elimination, and never deleted."""

from __future__ import annotations

from datetime import datetime

from django.db.models import QuerySet

from beffroi.core.retention.registry import Category, category
from beffroi.leaving.models import CommuneErasure, Leaving


def leavings(cutoff: datetime) -> QuerySet[Leaving]:
    return Leaving.objects.filter(state=Leaving.State.TAKEN_BACK, changed_at__lt=cutoff)


def requests(cutoff: datetime) -> QuerySet[CommuneErasure]:
    over = (CommuneErasure.State.REFUSED, CommuneErasure.State.WITHDRAWN)
    return CommuneErasure.objects.filter(state__in=over, changed_at__lt=cutoff)


category(Category("commune_leavings", 150, "retention_accounts_days", leavings))
category(Category("commune_erasure_requests", 151, "retention_accounts_days", requests))
