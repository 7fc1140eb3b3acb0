"""How long is kept to whom an alias led once, and which catch-alls there were. The address of an ended alias stays."""

from __future__ import annotations

from beffroi.core.retention.registry import Before, Category, category
from beffroi.mail.aliases.models import AliasTarget, CatchAll

former_targets = Before(AliasTarget, "ended_at")

category(Category("former_alias_targets", 110, "retention_accounts_days", former_targets))
category(Category("former_catch_alls", 111, "retention_accounts_days", Before(CatchAll, "ended_at")))
