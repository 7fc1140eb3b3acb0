"""How long the probe's runs are kept."""

from __future__ import annotations

from datetime import datetime

from django.db.models import QuerySet

from beffroi.core.retention.registry import Category, category
from beffroi.mail.probe.models import ProbeRun

KEPT_DAYS = 90


def runs(cutoff: datetime) -> QuerySet[ProbeRun]:
    return ProbeRun.objects.filter(at__lt=cutoff)


category(Category("probe_runs", 104, KEPT_DAYS, runs, batch=500))
