"""How long the probe's runs are kept."""

from __future__ import annotations

from beffroi.core.retention.registry import Before, Category, category
from beffroi.mail.probe.models import ProbeRun

KEPT_DAYS = 90


category(Category("probe_runs", 104, KEPT_DAYS, Before(ProbeRun, "at"), batch=500))
