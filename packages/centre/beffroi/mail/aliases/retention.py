"""How long is kept to whom an alias led once, and which catch-alls there were. The address of an ended alias stays."""

from __future__ import annotations

from datetime import datetime

from django.db.models import QuerySet

from beffroi.core.retention.registry import Before, Category, category
from beffroi.mail.aliases.models import AliasTarget, CatchAll


def former_targets(cutoff: datetime) -> QuerySet[AliasTarget]:
    return AliasTarget.objects.filter(ended_at__lt=cutoff)


category(Category("former_alias_targets", 110, "retention_accounts_days", former_targets))
category(Category("former_catch_alls", 111, "retention_accounts_days", Before(CatchAll, "ended_at")))
