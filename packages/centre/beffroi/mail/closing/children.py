"""The child of worker that exports and erases closed mailboxes, one after another; there is none while nothing is due.

Process: worker starts and reaps it; ``python -m beffroi.cli closing`` is one. It ends when its parent does (its
         standard input closes), and holds a lock, so that no two run at once.
Fails:   whatever it was in the middle of is done again (exports) or gone on with (erasures) by the next.
"""

from __future__ import annotations

import fcntl
import logging
import subprocess
from datetime import datetime, timedelta

from django.conf import settings

from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.locks import opened_lock
from beffroi.mail import child_process, projections
from beffroi.mail.closing import erasing, exporting, queries
from beffroi.mail.closing.models import Erasure

log = logging.getLogger("beffroi.mail.closing")
_running: subprocess.Popen[bytes] | None = None


def step() -> bool:
    """Reap the child if it ended, start one if something is due; return whether one runs."""
    global _running  # noqa: PLW0603 - a child of this process
    if _running is not None:
        status = _running.poll()
        if status is None:
            return True
        _running = None
        if status:
            log.error("closing: the child ended with status %s; it is taken up again", status)
    now = clock.paced_now()
    if queries.due_exports().exists() or queries.due_erasures(now).exists():
        # A new process takes the clock as it is: it is told until when erasures are due.
        _running = child_process.start(settings.BEFFROI, "closing", str(int(now.timestamp())))
    return _running is not None


def child(config: Config, now: datetime) -> int:
    """The child's whole life. Django is set up. ``now``: as its parent counts."""
    child_process.settle()
    with opened_lock(config.run / "closing.lock") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 0  # another one is at it
        work(config, now)
    return 0


def work(config: Config, now: datetime) -> None:
    """All that is due. The caller holds the lock."""
    exporting.forget_drafts(config)
    projections.forget_closed(config)
    while (export := queries.due_exports().first()) is not None:
        exporting.run(export)
    for erasure in queries.due_erasures(now):
        # One that breaks off keeps the others waiting no longer than this.
        again = clock.now() + timedelta(seconds=erasing.AGAIN_S)
        Erasure.objects.filter(pk=erasure.pk).update(next_run_at=again)
        erasing.run(erasure)
