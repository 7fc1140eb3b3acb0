"""Read what the purge did: for the Département, its data protection officer and the command line."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings

from beffroi.core.audit import queries as audit
from beffroi.core.identity.actor import Actor
from beffroi.core.retention import told
from beffroi.core.retention.actions import EVERY
from beffroi.core.retention.models import RetentionCount, RetentionRun
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.errors import NotFound

LATE_AFTER = timedelta(seconds=told.LATE_AFTER_S)
STORED = 30
"""Runs that the page looks back on."""


@dataclass(frozen=True)
class Report:
    """``last``: the last run of all, ``done``: the last that ended well. ``late``: none ended for a day and a half.
    ``failed``: the kind of the error of the last try."""

    last: RetentionRun | None
    done: RetentionRun | None
    counts: list[RetentionCount]
    runs: list[RetentionRun]
    next_at: datetime
    late: bool
    failed: str

    @property
    def refused(self) -> bool:
        return self.last is not None and self.last.state == RetentionRun.State.REFUSED


def needs_a_person(actor: Actor) -> bool:
    """Whether the purge waits for one: the clock is in doubt, the last try failed, or no run ended for long."""
    last = RetentionRun.objects.order_by("-id").values_list("state", flat=True).first()
    return actor.sees_all and (last == RetentionRun.State.REFUSED or _is_late() or bool(_failed()))


def how_it_goes(config: Config, *, failed: str) -> told.Told:
    """What ``told`` writes now. ``failed``: the kind of the error of this try."""
    last = RetentionRun.objects.order_by("-id").first()
    done = RetentionRun.objects.filter(state=RetentionRun.State.DONE).order_by("-id").first()
    before = told.read(config)
    done_at = done.finished_at if done is not None and done.finished_at is not None else None
    if done_at is not None:
        at = int(done_at.timestamp())
    else:
        at = before.done_at if before is not None else clock.epoch_s()
    refused = last.reason if last is not None and last.state == RetentionRun.State.REFUSED else ""
    return told.Told(at, refused, failed)


def _failed() -> str:
    found = told.read(settings.BEFFROI)
    return found.failed if found is not None else ""


def _is_late() -> bool:
    since = clock.now() - LATE_AFTER
    if not RetentionRun.objects.filter(started_at__lt=since).exists():
        return False
    # The newest by number: one that a clock dated which ran ahead may seem to have ended later.
    ended = RetentionRun.objects.filter(state=RetentionRun.State.DONE).order_by("-id").first()
    return ended is None or ended.finished_at is None or ended.finished_at < since


def report(actor: Actor) -> Report:
    """Errors: NotFound for whoever may not read the journal. The counts are of all communes together: a commune's
    page shows none."""
    if not audit.may_read(actor):
        raise NotFound("retention")
    runs = list(RetentionRun.objects.order_by("-id")[:STORED])
    last = runs[0] if runs else None
    done = next((one for one in runs if one.state == RetentionRun.State.DONE), None)
    counts = list(done.counts.order_by("id")) if done else []
    now = clock.now()
    return Report(
        last, done, counts, runs, max(now, last.started_at + EVERY) if last else now, _is_late(), _failed()
    )
