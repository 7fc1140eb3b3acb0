"""The sealing and signing of the audit log, in worker: the one process that may. What reads all of it, its pruning by
term and a reading each week (``told``), is a child's, one at a time, so that no decision waits for it."""

from __future__ import annotations

import logging
import subprocess
import sys

from django.conf import settings

from beffroi.core.audit import actions, pruning, signing, told
from beffroi.core.events import periodic
from beffroi.core.events.registry import Event, consumer
from beffroi.lib import clock

log = logging.getLogger("beffroi.audit")


periodic("audit.seal", every_s=1.0)(actions.seal)


@periodic("audit.checkpoint", every_s=60.0)
def checkpoint() -> None:
    if not actions.checkpoint_due():
        return
    try:
        actions.checkpoint(signing.private_key(settings.BEFFROI))
    except actions.ChainBroken as broken:
        log.error("%s Next: ./beffroi audit verify --full", broken)
        before = told.read(settings.BEFFROI)
        if before is None or not before.first_bad:
            _start("verify", "--full")


@periodic("audit.read", every_s=3600.0)
def read() -> None:
    """All that is kept, once a week: a checkpoint reads what came since the last one."""
    before, now = told.read(settings.BEFFROI), clock.epoch_s()
    if before is None:
        told.write(settings.BEFFROI, told.Told(now))
    elif before.read_at > now:  # by a clock that ran ahead: from here it is late
        told.write(settings.BEFFROI, told.Told(now, before.first_bad))
        _start("verify", "--full")
    elif now - before.read_at >= told.EVERY_S:
        _start("verify", "--full")


@consumer(name="audit.prune", kinds=("retention:done",), atomic=False)
def prune(event: Event) -> None:
    """Once a day, after a purge that believed the clock."""
    if pruning.is_due(settings.BEFFROI):
        _start("prune", "--by-term", "--yes")


_child: subprocess.Popen[bytes] | None = None


def _start(*verb: str) -> None:
    """Unless one runs: it is asked for again. What it says goes to worker's log."""
    global _child  # noqa: PLW0603 - a child of this process
    if _child is None or _child.poll() is not None:
        command = ("/usr/bin/nice", sys.executable, "-m", "beffroi.cli", "audit", *verb)
        _child = subprocess.Popen(
            (*command, "--state", str(settings.BEFFROI.state)), stdin=subprocess.DEVNULL
        )
