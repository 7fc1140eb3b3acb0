"""The children of ``import``: one for each import that is due, with limits of memory.

Process: ``import`` starts and reaps them; ``python -m beffroi.cli import JOB`` is one. A child ends when its parent
         does (its standard input closes) and holds a lock on its import, so that no import runs twice at once.
Fails:   a child that ends badly is noted at its import, which is tried again after a pause.
"""

from __future__ import annotations

import fcntl
import os
import resource
import subprocess
import sys
import threading
from pathlib import Path

from django.conf import settings

from beffroi.lib import clock
from beffroi.lib.config import STATE_VARIABLE, Config
from beffroi.mail.importing import actions, runner
from beffroi.mail.importing.errors import Crashed
from beffroi.mail.importing.models import ImportJob

CHILDREN = 4
MEMORY_BYTES = 1536 * 1024 * 1024
_DUE = (ImportJob.State.LISTING, ImportJob.State.RUNNING, ImportJob.State.COLLECTING)
_running: dict[str, subprocess.Popen[bytes]] = {}


def step() -> int:
    """Reap children that ended, start those that are due; return how many run."""
    for job_id, child in list(_running.items()):
        status = child.poll()
        if status is None:
            continue
        del _running[job_id]
        job = ImportJob.objects.filter(pk=job_id).first() if status else None
        if job is not None:
            actions.interrupted(job, Crashed())
    due = ImportJob.objects.filter(state__in=_DUE, next_run_at__lte=clock.now()).exclude(
        tls=ImportJob.Tls.NONE
    )
    due = due.exclude(pk__in=list(_running))
    # A person waits for the list of folders; whoever had a turn goes behind those who had none.
    listing = due.filter(state=ImportJob.State.LISTING).order_by("next_run_at")
    rest = due.exclude(state=ImportJob.State.LISTING).order_by("next_run_at")
    for job_id in [
        *listing.values_list("id", flat=True)[:CHILDREN],
        *rest.values_list("id", flat=True)[:CHILDREN],
    ]:
        if len(_running) >= CHILDREN:
            break
        ImportJob.objects.filter(pk=job_id).update(next_run_at=clock.now())
        _running[job_id] = start(settings.BEFFROI, job_id)
    return len(_running)


def start(config: Config, job_id: str) -> subprocess.Popen[bytes]:
    """A child that takes up one import."""
    return subprocess.Popen(
        (sys.executable, "-m", "beffroi.cli", "import", job_id),
        stdin=subprocess.PIPE,
        env={**os.environ, STATE_VARIABLE: str(config.state)},
    )


def child(config: Config, job_id: str) -> int:
    """The child's whole life. Django is set up."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if not job_id.replace("_", "").isalnum():
        return 2
    lock = Path(config.run) / f"import-{job_id}.lock"
    with lock.open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 0  # another one is at it
        try:
            runner.run(job_id)
        finally:
            lock.unlink(missing_ok=True)
    return 0


def _end_with_parent() -> None:
    """Whatever it was in the middle of: a cut at any point is recovered from."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(0)
