"""How long restores are kept in the tables; the audit log keeps that they were made."""

from __future__ import annotations

from beffroi.core.retention.registry import Before, Category, category
from beffroi.mail.backup.models import Restore

KEPT_DAYS = 90

restores = Before(Restore, "changed_at")
"""Also those that nobody carried out."""

category(Category("restores", 120, KEPT_DAYS, restores))
