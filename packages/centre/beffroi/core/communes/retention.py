"""How long it is kept that a collectivité was exported; the audit log keeps it as long as itself."""

from __future__ import annotations

from beffroi.core.communes.models import CommuneExport
from beffroi.core.retention.registry import Before, Category, category

category(Category("commune_exports", 143, "retention_accounts_days", Before(CommuneExport, "changed_at")))
