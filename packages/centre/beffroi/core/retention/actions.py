"""The purge: one run a day, in small steps, counted and audited.

Process: worker, a slice at a time so that decisions never wait for it; or a person at the command line.
Fails:   closed: nothing is deleted while the clock is in doubt (``rules``). A run that was cut off goes on where it
         stood: the position moves in the transaction that deletes, so nothing is counted twice. Two processes that
         run at once share one run; its row is locked for each step.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet

from beffroi.core.audit import actions as audit
from beffroi.core.audit.models import AuditCheckpoint, AuditEntry
from beffroi.core.events import outbox
from beffroi.core.identity.actor import Actor
from beffroi.core.retention import registry, rules
from beffroi.core.retention.models import RetentionCount, RetentionRun
from beffroi.core.retention.registry import Category
from beffroi.lib import clock
from beffroi.lib.errors import Conflict

EVERY = timedelta(days=1)
SYSTEM = Actor.system("retention")
_State = RetentionRun.State
log = logging.getLogger("beffroi.retention")


class ClockInDoubt(Conflict):
    """The clock of this machine says {}, and the last time that is certain is {}: nothing was deleted.
    Next: set the clock; if it is right, ./beffroi retention run --clock-is-right
    """

    code = "retention.clock_in_doubt"


@dataclass(frozen=True)
class Found:
    """What a run would delete of one category now, at most: rows that another application holds are among them."""

    category: str
    cutoff: datetime
    count: int


def trusted_now(now: datetime) -> datetime:
    """The latest time that is certain without the clock of this moment (``rules``); ``now`` on a new centre."""
    last = RetentionRun.objects.filter(state=_State.DONE).order_by("-id").first()
    marks = AuditCheckpoint.objects.filter(position__gt=last.checkpoint if last else 0).order_by("position")
    if last is not None:
        start = last.started_at
    else:
        first = marks.first() or AuditEntry.objects.order_by("id").first()
        start = first.at if first is not None else now
    return rules.walked(start, marks.values_list("at", flat=True), step=_step())


def begin(*, clock_confirmed_by: str = "") -> RetentionRun:
    """Go on with the run that is under way, or begin one. ``clock_confirmed_by``: an account that vouches for the
    clock.

    A run under way keeps the cut-offs of its begin, whatever the clock says since.
    Errors: ClockInDoubt; that is a run too, refused, and kept in the audit log.
    """
    now = clock.now() if clock_confirmed_by else clock.paced_now()
    with transaction.atomic():
        outbox.serialise()
        running = RetentionRun.objects.filter(state=_State.RUNNING).first()
        if running is not None:
            return running
        trusted = trusted_now(now)
        doubt = "" if clock_confirmed_by else rules.doubt(now, trusted, step=_step())
        last = AuditCheckpoint.objects.order_by("-position").values_list("position", flat=True).first()
        run = RetentionRun.objects.create(
            state=_State.REFUSED if doubt else _State.RUNNING,
            reason=doubt,
            confirmed_by=clock_confirmed_by,
            started_at=now,
            finished_at=now if doubt else None,
            checkpoint=last or 0,
        )
        if clock_confirmed_by:
            _record(run, "retention:clock_confirmed", personal={"account": clock_confirmed_by})
        if not doubt:
            return run
        _record(run, "retention:refused", reason=doubt)
        outbox.publish("retention:refused", {"run_id": run.pk, "reason": doubt})
    log.error("retention: the clock is in doubt (%s), nothing is deleted", doubt)
    raise ClockInDoubt(f"{now:%Y-%m-%d %H:%M}", f"{trusted:%Y-%m-%d %H:%M}")


def is_due() -> bool:
    """Whether a run is under way, or none began within a day of now, before or after."""
    now = clock.paced_now()
    recent = RetentionRun.objects.filter(started_at__gt=now - EVERY, started_at__lt=now + EVERY)
    return not recent.exists() or RetentionRun.objects.filter(state=_State.RUNNING).exists()


def go_on(run: RetentionRun, *, for_s: float = float("inf")) -> bool:
    """Work on a run for about ``for_s`` seconds; return whether it is done."""
    end = time.monotonic() + for_s
    order = registry.categories()
    names = [one.name for one in order]
    while True:
        run.refresh_from_db()
        if run.state != _State.RUNNING:
            return True
        # A category that a former version knew: begin again, what is gone is gone.
        position = names.index(run.category) if run.category in names else 0
        if position == 0 and not order:
            return _finish(run)
        more = _step_of(run, order[position])
        if not more:
            if position + 1 == len(order):
                return _finish(run)
            _move(run, names[position + 1], "")
        if time.monotonic() >= end:
            return False


def preview() -> list[Found]:
    """What a run would delete now, without deleting or recording anything."""
    now, config = clock.now(), settings.BEFFROI
    found = []
    for one in registry.categories():
        cutoff = one.cutoff(now, config)
        found.append(Found(one.name, cutoff, one.due(cutoff).count()))
    return found


def _step_of(run: RetentionRun, one: Category) -> bool:
    """Delete one batch of a category; whether there may be more."""
    cutoff = one.cutoff(run.started_at, settings.BEFFROI)
    due = one.due(cutoff)
    after = run.after if run.category == one.name else ""
    # Read before the transaction, which on SQLite locks all writers out.
    keys = _next_keys(due, after, one.batch)
    with transaction.atomic():
        locked = RetentionRun.objects.select_for_update().get(pk=run.pk)
        if (locked.state, locked.category, locked.after) != (run.state, run.category, run.after):
            return True  # another process was faster
        count, _ = RetentionCount.objects.get_or_create(
            run=run, category=one.name, defaults={"cutoff": cutoff}
        )
        if not keys:
            return False
        still = list(due.filter(pk__in=keys).values_list("pk", flat=True))
        if one.held_as:
            held = registry.held(one.held_as, still)
            still = [key for key in still if key not in held]
        if still:
            deleted = one.erase(still) if one.erase else _delete(due, still)
            RetentionCount.objects.filter(pk=count.pk).update(deleted=F("deleted") + deleted)
        _move(run, one.name, str(keys[-1]))
    return True


def _next_keys(due: QuerySet[Any], after: str, batch: int) -> list[Any]:
    rows = due.order_by("pk")
    if after:
        rows = rows.filter(pk__gt=after)
    return list(rows.values_list("pk", flat=True)[:batch])


def _delete(due: QuerySet[Any], keys: list[Any]) -> int:
    due.model._default_manager.filter(pk__in=keys).delete()
    return len(keys)


def _move(run: RetentionRun, category: str, after: str) -> None:
    RetentionRun.objects.filter(pk=run.pk, state=_State.RUNNING).update(category=category, after=after)


@transaction.atomic
def _finish(run: RetentionRun) -> bool:
    outbox.serialise()
    done = {"state": _State.DONE, "finished_at": clock.now(), "category": "", "after": ""}
    if not RetentionRun.objects.filter(pk=run.pk, state=_State.RUNNING).update(**done):
        return True
    counts = list(run.counts.order_by("id"))
    for one in counts:
        if one.deleted:
            _record(
                run,
                "retention:purged",
                category=one.category,
                before=f"{one.cutoff:%Y-%m-%dT%H:%MZ}",
                count=one.deleted,
            )
    _record(run, "retention:done", count=sum(one.deleted for one in counts))
    outbox.publish("retention:done", {"run_id": run.pk})
    log.info(
        "retention: %s",
        ", ".join(f"{one.category} {one.deleted}" for one in counts if one.deleted) or "nothing was due",
    )
    return True


def _record(
    run: RetentionRun, verb: str, *, personal: Mapping[str, str] | None = None, **details: str | int
) -> None:
    audit.record(SYSTEM, verb, str(run.pk), collectivite_id=None, details=details, personal=personal)


def _step() -> timedelta:
    days: int = settings.BEFFROI.retention_clock_days
    return timedelta(days=days)
