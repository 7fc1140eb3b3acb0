"""The children of ``import``: one for each import that is due, with limits of memory and time.

Process: ``import`` starts and reaps them; ``python -m beffroi.cli import JOB`` is one. A child ends when its parent
         does (its standard input closes) and holds the turn of its mailbox (turns.py).
Hostile: the old server: one that sends a byte a minute is left after ``LIFE_S``.
Fails:   a child that ends badly is noted at its import, which is tried again after a pause.
"""

from __future__ import annotations

import signal
import subprocess
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q, QuerySet

from beffroi.core import turns
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.mail import child_process
from beffroi.mail.importing import actions, runner
from beffroi.mail.importing.errors import Crashed
from beffroi.mail.importing.models import ImportJob
from beffroi.mail.importing.turns import turn

CHILDREN = 4
LIFE_S = int(3 * runner.STRETCH_S)
"""Every time limit of IMAP is one of silence: this one ends what goes on for ever."""
TURN_AGAIN = timedelta(minutes=1)
LONGEST_WAIT = timedelta(days=1, minutes=10)
"""A provider's day is over until five past midnight."""
_DUE = (ImportJob.State.LISTING, ImportJob.State.RUNNING, ImportJob.State.COLLECTING)
_UNDOING = ImportJob.State.UNDOING
_running: dict[str, tuple[str, subprocess.Popen[bytes]]] = {}
"""By mailbox: two imports into one at once would each bring what both old mailboxes hold."""


def due(now: datetime) -> QuerySet[ImportJob]:
    """Only its command goes on with an archive; what it brought is taken away here."""
    ours = (Q(state__in=_DUE) & ~Q(tls=ImportJob.Tls.NONE)) | Q(state=_UNDOING)
    return ImportJob.objects.filter(ours, turns.due("next_run_at", now, LONGEST_WAIT))


def step() -> int:
    """Reap children that ended, start those that are due; return how many run."""
    for mailbox_id, (job_id, child) in list(_running.items()):
        status = child.poll()
        if status is None:
            continue
        del _running[mailbox_id]
        job = ImportJob.objects.filter(pk=job_id).first() if status else None
        if job is not None:
            actions.interrupted(job, Crashed())
    waiting = due(clock.now()).exclude(mailbox_id__in=list(_running)).order_by("next_run_at")
    # A person waits for the list of folders; whoever had a turn goes behind those who had none.
    for rows in (
        waiting.filter(state=ImportJob.State.LISTING),
        waiting.exclude(state=ImportJob.State.LISTING),
    ):
        for job_id, mailbox_id in rows.values_list("id", "mailbox_id")[: CHILDREN * actions.MAX_OPEN]:
            if len(_running) >= CHILDREN:
                break
            if mailbox_id in _running:
                continue
            ImportJob.objects.filter(pk=job_id).update(next_run_at=clock.now())
            _running[mailbox_id] = (job_id, child_process.start(settings.BEFFROI, "import", job_id))
    return len(_running)


def child(config: Config, job_id: str) -> int:
    """The child's whole life. Django is set up."""
    child_process.settle()
    signal.alarm(LIFE_S)
    job = ImportJob.objects.filter(pk=job_id).first()
    if job is None:
        return 2
    with turn(config, job.mailbox_id, wait=False) as mine:
        if mine:
            runner.run(job_id)
        else:  # an archive is being brought
            ImportJob.objects.filter(pk=job_id).update(next_run_at=clock.now() + TURN_AGAIN)
    return 0
