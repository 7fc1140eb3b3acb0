"""The purge's own reports are kept for a time, too."""

from __future__ import annotations

from beffroi.core.retention.models import RetentionRun
from beffroi.core.retention.registry import Before, Category, category

KEEP_DAYS = 1100
"""Three years: what an auditor looks back on."""


category(Category("retention_runs", 990, KEEP_DAYS, Before(RetentionRun, "finished_at")))
