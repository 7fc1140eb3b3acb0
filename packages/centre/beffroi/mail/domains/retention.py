"""How long the daily checks of a domain are kept, and the public halves of keys that are gone."""

from __future__ import annotations

from beffroi.core.retention.registry import Before, Category, category
from beffroi.mail.domains.models import DkimKey, DomainCheck

KEPT_DAYS = 400

checks = Before(DomainCheck, "checked_at")
gone_keys = Before(DkimKey, "gone_at")

category(Category("domain_checks", 27, KEPT_DAYS, checks))
category(Category("dkim_keys", 28, KEPT_DAYS, gone_keys))
