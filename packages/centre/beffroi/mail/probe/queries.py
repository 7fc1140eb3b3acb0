"""Read how the probe's mails went. For the Département: they are of no commune."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from statistics import median

from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.mail.probe.models import ProbeRun
from beffroi.mail.probe.paths import FIRST

ALARM_AFTER = 2
"""Failures in a row: one may be a restart."""
DAY = timedelta(days=1)
_LOOKED_AT = 200


@dataclass(frozen=True)
class Way:
    """One path. ``failures``: in a row, up to now; ``day``, ``day_failed``: runs of the last 24 h."""

    path: str
    last: ProbeRun
    failures: int
    day: int
    day_failed: int
    median_ms: int

    @property
    def alarms(self) -> bool:
        return self.failures >= ALARM_AFTER


def ways(actor: Actor) -> list[Way]:
    """Every path that was tried in the last two rounds, as of a day: one that settings dropped is none any more, and
    what comes back from outside may be left out of one. Errors: NotFound."""
    actor.require_sees_all("probe")
    now = clock.now()
    # By number: those that a clock dated which ran ahead would be the last ones for as long.
    runs = ProbeRun.objects.filter(at__gt=now - DAY, at__lte=now).order_by("-pk")
    by_path: dict[str, list[ProbeRun]] = {}
    for one in runs:
        by_path.setdefault(one.path, []).append(one)
    rounds = by_path.get(FIRST, [])[:2]
    tried = [one for one in sorted(by_path.items()) if not rounds or one[1][0].pk >= rounds[-1].pk]
    return [_way(path, found) for path, found in tried]


def _way(path: str, found: Sequence[ProbeRun]) -> Way:
    failed = sum(bool(one.code) for one in found)
    times = [one.duration_ms for one in found if not one.code]
    return Way(path, found[0], streak(found), len(found), failed, int(median(times)) if times else 0)


def streak(found: Iterable[ProbeRun]) -> int:
    """Failures up to now; ``found``: the latest first."""
    count = 0
    for one in found:
        if not one.code:
            break
        count += 1
    return count


def failures(path: str) -> int:
    """In a row, up to now."""
    return streak(ProbeRun.objects.filter(path=path).order_by("-pk")[:_LOOKED_AT])


def alarms(actor: Actor) -> int:
    """How many paths fail; 0 for whoever is not the Département."""
    return sum(one.alarms for one in ways(actor)) if actor.sees_all else 0
