"""Which mail named which pair goes with the traces of mails; a pair goes when no mail has named it for long."""

from __future__ import annotations

from datetime import datetime

from django.db.models import QuerySet

from beffroi.core.retention.registry import Category, category
from beffroi.mail.safety.models import BankDetail, BankMention

DETAILS_DAYS = 730
"""A supplier that bills once a year is still known the year after."""


def mentions(cutoff: datetime) -> QuerySet[BankMention]:
    return BankMention.objects.filter(seen_at__lt=cutoff)


def details(cutoff: datetime) -> QuerySet[BankDetail]:
    return BankDetail.objects.filter(last_seen_at__lt=cutoff)


category(Category("bank_mentions", 36, "retention_messages_days", mentions))
category(Category("bank_details", 37, DETAILS_DAYS, details))
