"""The sealing and signing of the audit log, in worker: the one process that may."""

from __future__ import annotations

import logging

from django.conf import settings

from beffroi.core.audit import actions, signing
from beffroi.core.events import periodic

log = logging.getLogger("beffroi.audit")


@periodic("audit.seal", every_s=1.0)
def seal() -> None:
    actions.seal()


@periodic("audit.checkpoint", every_s=60.0)
def checkpoint() -> None:
    if not actions.checkpoint_due():
        return
    try:
        actions.checkpoint(signing.private_key(settings.BEFFROI))
    except actions.ChainBroken as broken:
        log.error("%s Next: ./beffroi audit verify --full", broken)
