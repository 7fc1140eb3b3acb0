"""How long it is kept that a collectivité was exported; the audit log keeps it as long as itself."""

from __future__ import annotations

from datetime import datetime

from django.db.models import QuerySet

from beffroi.core.communes.models import CommuneExport
from beffroi.core.retention.registry import Category, category


def exports(cutoff: datetime) -> QuerySet[CommuneExport]:
    return CommuneExport.objects.filter(changed_at__lt=cutoff)


category(Category("commune_exports", 143, "retention_accounts_days", exports))
