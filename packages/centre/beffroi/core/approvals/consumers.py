"""Timers of the approvals, in worker."""

from __future__ import annotations

from beffroi.core.approvals import actions
from beffroi.core.events import periodic

periodic("approvals.expiry", every_s=60.0)(actions.expire_due)
