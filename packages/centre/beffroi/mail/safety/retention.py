"""Which mail named which pair goes with the traces of mails; a pair goes when no mail has named it for long."""

from __future__ import annotations

from beffroi.core.retention.registry import Before, Category, category
from beffroi.mail.safety.models import BankDetail, BankMention

DETAILS_DAYS = 730
"""A supplier that bills once a year is still known the year after."""


category(Category("bank_mentions", 36, "retention_messages_days", Before(BankMention, "seen_at")))
category(Category("bank_details", 37, DETAILS_DAYS, Before(BankDetail, "last_seen_at")))
