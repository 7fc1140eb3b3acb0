"""The sealing and signing of the audit log, in worker: the one process that may. Its pruning by term, in a child."""

from __future__ import annotations

import logging
import subprocess
import sys

from django.conf import settings

from beffroi.core.audit import actions, pruning, signing
from beffroi.core.events import periodic
from beffroi.core.events.registry import Event, consumer

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


_pruner: subprocess.Popen[bytes] | None = None


@consumer(name="audit.prune", kinds=("retention:done",), atomic=False)
def prune(event: Event) -> None:
    """Once a day, after a purge that believed the clock. One child at a time; what it says goes to worker's log."""
    global _pruner  # noqa: PLW0603 - a child of this process
    if _pruner is not None and _pruner.poll() is None:
        return
    _pruner = None
    if pruning.is_due(settings.BEFFROI):
        command = (sys.executable, "-m", "beffroi.cli", "audit", "prune", "--by-term", "--yes")
        _pruner = subprocess.Popen(
            (*command, "--state", str(settings.BEFFROI.state)), stdin=subprocess.DEVNULL
        )
