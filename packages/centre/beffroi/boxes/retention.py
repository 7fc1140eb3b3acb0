"""How long what boîtiers told is kept."""

from __future__ import annotations

from datetime import datetime

from django.db.models import QuerySet

from beffroi.boxes.models import BoxBypass, BoxDiagnosis, BoxNotice, FlowCount, LearnedFlow, RefusedDay
from beffroi.core.retention.registry import Category, category

KEEP_COUNTS_DAYS = 400
"""The months that a town council looks back on, and a year's comparison."""
SETTING = "retention_evidence_days"


def flow_counts(cutoff: datetime) -> QuerySet[FlowCount]:
    return FlowCount.objects.filter(day__lt=cutoff.date())


def refused_days(cutoff: datetime) -> QuerySet[RefusedDay]:
    return RefusedDay.objects.filter(day__lt=cutoff.date())


def notices(cutoff: datetime) -> QuerySet[BoxNotice]:
    return BoxNotice.objects.filter(at__lt=cutoff)


def learned(cutoff: datetime) -> QuerySet[LearnedFlow]:
    """What was answered stays as long as it is seen: the answer must not be asked for again."""
    return LearnedFlow.objects.filter(last_at__lt=cutoff)


def bypasses(cutoff: datetime) -> QuerySet[BoxBypass]:
    return BoxBypass.objects.filter(last_at__lt=cutoff)


def diagnoses(cutoff: datetime) -> QuerySet[BoxDiagnosis]:
    return BoxDiagnosis.objects.filter(expires_at__lte=cutoff)


category(Category("flow_counts", 60, KEEP_COUNTS_DAYS, flow_counts, batch=500))
category(Category("refused_days", 61, KEEP_COUNTS_DAYS, refused_days, batch=500))
category(Category("box_notices", 62, SETTING, notices))
category(Category("learned_flows", 63, SETTING, learned))
category(Category("bypasses", 64, SETTING, bypasses))
category(Category("diagnoses", 65, 0, diagnoses))
