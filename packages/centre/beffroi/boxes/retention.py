"""How long what boîtiers told is kept."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Exists, OuterRef, Q, QuerySet

from beffroi.boxes.models import (
    Box,
    BoxBypass,
    BoxDiagnosis,
    BoxNotice,
    EnrolmentCode,
    FlowCount,
    LearnedFlow,
    OpeningRequest,
    RefusedDay,
    RelayDay,
    RelayRequest,
)
from beffroi.core.retention.registry import Before, BeforeDay, Category, category

KEEP_COUNTS_DAYS = 400
"""The months that a town council looks back on, and a year's comparison."""
SETTING = "retention_evidence_days"

flow_counts = BeforeDay(FlowCount)
refused_days = BeforeDay(RefusedDay)
relay_requests = Before(RelayRequest, "asked_at", ~Q(state=RelayRequest.State.ASKED))

_open = Q(state__in=(OpeningRequest.State.ASKED, OpeningRequest.State.ACCEPTED))
opening_requests = Before(OpeningRequest, "asked_at", ~_open)


def codes(cutoff: datetime) -> QuerySet[EnrolmentCode]:
    """Used or not; while a box waits for its confirmation, who issued its code must be known."""
    waits = Box.objects.filter(pk=OuterRef("box_id"), state=Box.State.PENDING)
    return EnrolmentCode.objects.filter(expires_at__lt=cutoff).exclude(Exists(waits))


def diagnoses(cutoff: datetime) -> QuerySet[BoxDiagnosis]:
    return BoxDiagnosis.objects.filter(expires_at__lte=cutoff)


category(Category("flow_counts", 60, KEEP_COUNTS_DAYS, flow_counts, batch=500))
category(Category("refused_days", 61, KEEP_COUNTS_DAYS, refused_days, batch=500))
category(Category("relay_days", 116, SETTING, BeforeDay(RelayDay)))
category(Category("relay_requests", 117, SETTING, relay_requests))
category(Category("opening_requests", 118, SETTING, opening_requests))
category(Category("box_notices", 62, SETTING, Before(BoxNotice, "at")))
# What was answered stays as long as it is seen: the answer must not be asked for again.
category(Category("learned_flows", 63, SETTING, Before(LearnedFlow, "last_at")))
category(Category("bypasses", 64, SETTING, Before(BoxBypass, "last_at")))
category(Category("diagnoses", 65, 0, diagnoses))
category(Category("enrolment_codes", 66, SETTING, codes))
