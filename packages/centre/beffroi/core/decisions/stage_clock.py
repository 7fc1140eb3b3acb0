"""How long a stage has lasted, whatever somebody does to the clock of the machine.

Rule:    time on the wall counts as long as it goes on as fast as the kernel's own count of seconds since the machine
         was started. Where it does not (the clock was set, a jump of more than JUMP_S) or where that count began anew
         (the machine did), every open stage keeps what it had until the last look, and goes on from now: a jump forward
         is no trial, and one back holds none up. While the clock is in doubt as the daily purge understands it, nothing
         moves at all.
Process: worker.
Limits:  what passes between the last look and a jump (NOTED_S at most) counts nothing. The hours of work are those that
         the clock says: one that is off by hours takes the night for a day, second by second.
Fails:   closed: a stage lasts longer.
Source:  docs/decisions/0050-told-again-after-a-restore.md.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from beffroi.core.decisions import hours
from beffroi.core.decisions.models import Decision, StageClock
from beffroi.core.retention import actions as retention
from beffroi.core.retention import rules as retention_rules
from beffroi.lib import clock
from beffroi.lib.config import Config

log = logging.getLogger("beffroi.decisions")

JUMP_S, NOTED_S = 10.0, 30.0
_State = Decision.State
_OPEN = (_State.OBSERVED, _State.CANARY, _State.REVIEW)


def working_hours() -> dict[str, int]:
    config: Config = settings.BEFFROI
    return {"begins_h": config.work_begins_h, "ends_h": config.work_ends_h}


def lasted_s(decision: Decision, now: datetime) -> float:
    """Return the working time since the decision's present state began, in seconds. ``is_sound`` comes first."""
    return decision.tried_s + hours.worked_s(
        decision.looked_at or decision.state_since, now, **working_hours()
    )


@transaction.atomic
def is_sound() -> bool:
    """Look at the clock, and put right what a jump since the last look would count; False: nothing may move now."""
    config: Config = settings.BEFFROI
    now, steady_s, boot = clock.now(), clock.steady_s(), clock.boot()
    step = timedelta(days=config.retention_clock_days)
    if retention_rules.doubt(now, retention.trusted_now(now), step=step):
        return False
    last = StageClock.objects.select_for_update().first()
    if last is None:
        StageClock.objects.create(pk=1, at=now, steady_s=steady_s, boot=boot)
        return True
    # After a start of the machine: as long as it runs, and nobody knows how long it did not.
    lived_s = steady_s - last.steady_s if last.boot == boot else steady_s
    jump_s = (now - last.at).total_seconds() - lived_s
    jumped = last.boot != boot or abs(jump_s) > JUMP_S
    if jumped:
        log.warning("the clock jumped by %d s, or the machine was started: stages go on from now", jump_s)
        _hold(last.at, now, lived=timedelta(seconds=lived_s + JUMP_S))
    if jumped or not 0 <= lived_s < NOTED_S:
        StageClock.objects.filter(pk=last.pk).update(at=now, steady_s=steady_s, boot=boot)
    return True


def _hold(last: datetime, now: datetime, *, lived: timedelta) -> None:
    """``last``: the look before the jump, in the time before it; ``now``: in the time after it."""
    longest = hours.longest(settings.BEFFROI.rollback_s, **working_hours())
    young = Q(state=_State.ACTIVE, state_since__gte=min(last, now) - longest)
    for one in Decision.objects.select_for_update().filter(Q(state__in=_OPEN) | young):
        since = one.looked_at or one.state_since
        # What began after the jump has lasted seconds; in the time before it, that may be the future, or long ago.
        began_after = now - lived <= since <= now
        before_s = 0.0 if began_after else hours.worked_s(since, last, **working_hours())
        Decision.objects.filter(pk=one.pk).update(tried_s=one.tried_s + before_s, looked_at=now)
