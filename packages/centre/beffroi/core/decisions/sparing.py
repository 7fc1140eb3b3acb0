"""Take one entry out of the lists when town halls turn out to live on it, until a person has looked.

Purpose: a list is in force at every door at once. Of what weak decisions have its entries have this: a new one on
         which more communes than the blast budget live is let pass before the list is published, or within the
         rollback window, once their boxes have looked back.
Rule:    never an entry of a list of command servers or malware (those who are infected call regularly), never what a
         decision blocks too, never again what a person put back. A decision that comes later ends it.
Process: worker (what boxes tell), sources (before a list is published).
Input:   counts of boxes of which some lie: it takes more than the budget of communes.
Fails:   open towards blocking: what nobody told is listed.
Source:  docs/decisions/0028-exposure-and-shared-addresses.md.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from beffroi_protocol.indicators import Indicator, Kind
from beffroi_protocol.protected import too_wide
from beffroi_protocol.threats import NEVER_LIFTED, Threat
from django.conf import settings
from django.db.models import Count

from beffroi.core.decisions import hours, listed, never_again, queries, reach, rules, stages
from beffroi.core.decisions.models import Decision, EntryUse, NeverAgain
from beffroi.core.decisions.stage_clock import working_hours
from beffroi.core.decisions.staging import budget_of
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock

ACTOR = Actor.system("decisions.sparing")
KEPT = timedelta(days=30)
USED = "entry_used"
"""Reason: communes use it regularly. Refusals of a day say nothing: an attack that many meet is refused to many."""
CALLED_BY_THE_INFECTED = NEVER_LIFTED | {Threat.MALWARE.value}
_DAY = timedelta(days=1)


def most() -> int:
    """How many communes a new entry may touch: as a decision on weak evidence."""
    return budget_of(settings.BEFFROI).blast(len(reach.communes(reach.BOX)))


def note_use(*, indicator: Indicator, collectivite_id: str, days: int = 0, refused: bool = False) -> bool:
    """Keep what a box told of an entry: on how many of 30 days its town hall met it, or that it was refused going out.

    Return whether this commune told so for the first time in a day: only then anything can follow.
    """
    now = clock.paced_now()
    row, new = EntryUse.objects.get_or_create(
        kind=indicator.kind.value, value=indicator.value, collectivite_id=collectivite_id
    )
    first = new or row.last_at < now - _DAY
    if refused:
        first = first or row.refused_at is None
        if row.refused_at is None or row.refused_at.date() != now.date():
            row.refused_days = min(row.refused_days + 1, 30)
        row.refused_at = now
    first = first or days > row.regular_days
    row.regular_days, row.last_at = max(row.regular_days, min(days, 30)), now
    row.save()
    return first


def judge(indicator: Indicator) -> int:
    """Let pass the young entries of lists that name ``indicator`` where too many live on it; return how many.
    Errors: Unavailable."""
    limit = most()
    rows = list(EntryUse.objects.filter(kind=indicator.kind.value, value=indicator.value))
    if len(rows) <= limit:
        return 0
    spared = 0
    window_s = budget_of(settings.BEFFROI).rollback_s
    found = listed.covering(listed.blocking_in(""), indicator)
    if any(one.row.threat in CALLED_BY_THE_INFECTED for one in found):
        return 0
    for one in found:
        since = listed.since(one)
        if since is None or hours.worked_s(since, clock.paced_now(), **working_hours()) > window_s:
            continue
        regular = sum(max(row.regular_days, row.refused_days) >= stages.REGULAR_DAYS for row in rows)
        if regular > limit:
            spared += _spare(listed.opening(one, indicator), regular)
    return spared


def hold_out(kind: Kind, values: Collection[str], *, threat: str, known: Collection[str]) -> int:
    """Before a list is published: let pass the ``values`` that are not ``known`` yet and that too many communes use
    regularly, as far as boxes told; return how many."""
    used = lived_on(kind, threat=threat)
    return sum(
        _spare(Indicator(kind, value), used[value])
        for value in sorted((used.keys() & set(values)) - set(known))
    )


def lived_on(kind: Kind, *, threat: str) -> dict[str, int]:
    """What too many communes use regularly, as far as boxes told: value -> how many; nothing for a list whose entries
    are never let pass."""
    if threat in CALLED_BY_THE_INFECTED:
        return {}
    told = EntryUse.objects.filter(kind=kind.value, last_at__gte=clock.paced_now() - KEPT)
    regular = told.filter(regular_days__gte=stages.REGULAR_DAYS) | told.filter(
        refused_days__gte=stages.REGULAR_DAYS
    )
    counted = regular.values("value").annotate(communes=Count("id")).filter(communes__gt=most())
    return dict(counted.values_list("value", "communes"))


def is_open(indicator: Indicator) -> bool:
    """Whether nobody has answered yet what becomes of an entry that town halls live on: it is not let pass, no decision
    blocks it, and no person put it back."""
    if queries.covering_decisions(ACTOR, indicator):
        return False
    past = NeverAgain.objects.filter(kind=indicator.kind.value, value=indicator.value)
    answered = past.filter(communes__gt=0).exclude(revoked_by__in=("", ACTOR.id))
    return not past.filter(revoked_at=None).exists() and not answered.exists()


def used_values(kind: Kind) -> set[str]:
    """The few values that ``hold_out`` could let pass."""
    told = EntryUse.objects.filter(kind=kind.value, last_at__gte=clock.paced_now() - KEPT)
    return set(told.values_list("value", flat=True))


def end_touched(decision: Decision) -> int:
    """A decision stands above: what waits for a person and would let it pass ends."""
    waiting = NeverAgain.objects.filter(pending=True, revoked_at=None)
    found = [one for one in queries.near(waiting, decision.indicator)
             if rules.touches(one.indicator, decision.indicator)]  # fmt: skip
    return sum(never_again.unspare(one, actor=ACTOR, reason="decided") for one in found)


def forget_old() -> int:
    return EntryUse.objects.filter(last_at__lt=clock.paced_now() - KEPT).delete()[0]


def _spare(indicator: Indicator, communes: int) -> bool:
    if too_wide(indicator) or not is_open(indicator):
        return False
    return never_again.spare(actor=ACTOR, indicator=indicator, reason=USED, communes=communes)
