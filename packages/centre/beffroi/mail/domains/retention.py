"""How long the daily checks of a domain are kept, and the public halves of keys that are gone."""

from __future__ import annotations

from datetime import datetime

from django.db.models import QuerySet

from beffroi.core.retention.registry import Category, category
from beffroi.mail.domains.models import DkimKey, DomainCheck

KEPT_DAYS = 400


def checks(cutoff: datetime) -> QuerySet[DomainCheck]:
    return DomainCheck.objects.filter(checked_at__lt=cutoff)


def gone_keys(cutoff: datetime) -> QuerySet[DkimKey]:
    return DkimKey.objects.filter(gone_at__lt=cutoff)


category(Category("domain_checks", 27, KEPT_DAYS, checks))
category(Category("dkim_keys", 28, KEPT_DAYS, gone_keys))
