"""How long is kept how well mail was protected that left, how it was met, and who was doubted."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Q, QuerySet

from beffroi.core.retention.registry import Before, BeforeDay, Category, category
from beffroi.mail.sending.models import AnsweredSlot, Doubted, LaneDay, PartnerTls, RefusedDay, SendingAlarm

KEPT_DAYS = 90
DOUBT_DAYS = 30
SLOT_DAYS = 1

lanes, refused = BeforeDay(LaneDay), BeforeDay(RefusedDay)
slots = Before(AnsweredSlot, "at")


def doubted(cutoff: datetime) -> QuerySet[Doubted]:
    """Over, and spared no longer."""
    spared = Q(spared_until=None) | Q(spared_until__lt=cutoff)
    return Doubted.objects.filter(spared, ended_at__lt=cutoff)


category(Category("sending_alarms", 149, "retention_evidence_days", Before(SendingAlarm, "closed_at")))
category(Category("partner_tls", 105, KEPT_DAYS, BeforeDay(PartnerTls), batch=500))
category(Category("lane_days", 145, KEPT_DAYS, lanes, batch=500))
category(Category("refused_days_of_mailboxes", 146, DOUBT_DAYS, refused, batch=500))
category(Category("doubted_senders", 147, DOUBT_DAYS, doubted))
category(Category("answered_slots", 148, SLOT_DAYS, slots, batch=500))
