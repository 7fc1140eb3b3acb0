"""Timers of the decisions, in worker."""

from __future__ import annotations

from beffroi.core.decisions import actions
from beffroi.core.events import periodic


@periodic("decisions.expiry", every_s=1.0)
def expire() -> None:
    actions.expire_due()
