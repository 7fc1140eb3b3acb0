"""Timers of identity, in worker."""

from __future__ import annotations

from beffroi.core.events import periodic
from beffroi.core.identity import sign_ins


@periodic("identity.sign_ins", every_s=3600.0)
def prune_sign_ins() -> None:
    sign_ins.prune()
