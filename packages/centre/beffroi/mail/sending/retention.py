"""How long it is known how well mail was protected that left."""

from __future__ import annotations

from datetime import datetime

from django.db.models import QuerySet

from beffroi.core.retention.registry import Category, category
from beffroi.mail.sending.models import PartnerTls

KEPT_DAYS = 90


def partners(cutoff: datetime) -> QuerySet[PartnerTls]:
    return PartnerTls.objects.filter(day__lt=cutoff.date())


category(Category("partner_tls", 105, KEPT_DAYS, partners, batch=500))
