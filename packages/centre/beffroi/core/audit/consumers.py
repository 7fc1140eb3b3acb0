"""The sealing of the audit log, in worker: the one process that may."""

from __future__ import annotations

from beffroi.core.audit import actions
from beffroi.core.events import periodic


@periodic("audit.seal", every_s=1.0)
def seal() -> None:
    actions.seal()
