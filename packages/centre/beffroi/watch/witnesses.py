"""Whose word counts in a campaign now: reads earlier sightings for ``reputation``, decides nothing.

Rule:    people are judged by what people reported; a detector of a commune's boxes by what that detector told. An alarm
         of a box, which an attacker can set off, silences nobody else.
Confidential: what is read here leaves ``watch`` as a count only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Max, Min, QuerySet

from beffroi.core.identity import activation
from beffroi.lib import clock
from beffroi.watch import reputation
from beffroi.watch.models import Campaign, Sighting
from beffroi.watch.reputation import Outcome
from beffroi.watch.rules import Witness

BY_A_PERSON = "user_report"
_State = Campaign.State
_CLOSED = {_State.DECIDED: True, _State.DISMISSED: False, _State.REVOKED: False}
_HOUR = timedelta(hours=1)
_MEMORY = timedelta(seconds=reputation.MEMORY_S)


@dataclass(frozen=True)
class Told:
    """A detector of the boxes of a collectivité."""

    collectivite_id: str
    detector: str


def reliable(campaign: Campaign, witnesses: Iterable[Witness]) -> frozenset[Witness]:
    """Return the witnesses of a campaign whose word counts; machines stay, they are no independent witnesses."""
    found = set(witnesses)
    people = {w for w in found if w.person_id}
    reports = Sighting.objects.filter(detector=BY_A_PERSON).exclude(campaign=None)
    persons = {w.person_id for w in people}
    owners = {w.collectivite_id for w in people} - {""}
    low = _low(reports.filter(person_id__in=persons), "person_id", campaign, least=reputation.PERSON_LEAST)
    silent = reports.filter(collectivite_id__in=owners)
    communes = _low(silent, "collectivite_id", campaign, least=reputation.COMMUNE_LEAST)
    # Who presses on a whole mailbox silences themselves, not their colleagues.
    low |= (noisy := _flooding(silent, "person_id"))
    communes |= _flooding(silent.exclude(person_id__in=noisy), "collectivite_id")
    return frozenset(found - {w for w in people if w.person_id in low or w.collectivite_id in communes})


def vouched(witnesses: Collection[Witness]) -> dict[Witness, Witness]:
    """Each of them as whom it counts for: who opened an account of late speaks through it. A référent of two communes
    whose account was taken over makes as many people there as they like."""
    opened = activation.opened_by({one.person_id for one in witnesses if one.person_id})
    return {one: Witness(one.collectivite_id, opened.get(one.person_id, one.person_id)) for one in witnesses}


def is_flooding(person_id: str) -> bool:
    """Whether a person reported more within the hour than anybody is heard on."""
    reports = Sighting.objects.filter(detector=BY_A_PERSON, person_id=person_id).exclude(campaign=None)
    return bool(person_id) and bool(_flooding(reports, "person_id"))


def has_said_enough(sighting: Sighting, campaign: Campaign) -> bool:
    """Whether who tells this told of the campaign again and again within the hour."""
    same = Sighting.objects.filter(
        campaign=campaign,
        collectivite_id=sighting.collectivite_id,
        person_id=sighting.person_id,
        detector=sighting.detector,
        received_at__gte=clock.now() - _HOUR,
    )
    return same.count() >= reputation.REPEATS_AN_HOUR


def boxes_heard(campaign: Campaign, told: Collection[Told]) -> frozenset[Told]:
    """Return the detectors of boxes whose word counts in a campaign: those that were not mostly wrong, and that had
    spoken of few other things within the hour before they spoke of this."""
    return frozenset(one for one in told if one.collectivite_id and _is_heard(campaign, one))


def _is_heard(campaign: Campaign, one: Told) -> bool:
    rows = Sighting.objects.filter(collectivite_id=one.collectivite_id, detector=one.detector)
    if _low(rows, "collectivite_id", campaign, least=reputation.COMMUNE_LEAST):
        return False
    ends = rows.filter(campaign=campaign).aggregate(first=Min("received_at"), last=Max("received_at"))
    # Of many sightings two are asked about, so that a flood costs no flood of queries.
    return any(_before(rows, campaign, at) < reputation.BOX_CAMPAIGNS_AN_HOUR for at in set(ends.values()))


def _before(rows: QuerySet[Sighting], campaign: Campaign, at: datetime) -> int:
    others = rows.filter(received_at__gt=at - _HOUR, received_at__lt=at).exclude(campaign=campaign)
    return others.values("campaign_id").distinct().count()


def _low(rows: QuerySet[Sighting], column: str, campaign: Campaign, *, least: float) -> set[str]:
    outcomes: dict[str, list[Outcome]] = defaultdict(list)
    now = clock.now()
    closed = (
        rows.filter(campaign__state__in=_CLOSED, campaign__last_seen__gte=now - _MEMORY)
        .exclude(campaign=campaign)
        .values_list(column, "campaign_id", "campaign__state", "campaign__last_seen")
        .distinct()
    )
    for value, _, state, at in closed:
        outcomes[value].append(Outcome(_CLOSED[_State(state)], (now - at).total_seconds()))
    return {value for value, found in outcomes.items() if reputation.is_low(found, least=least)}


def _flooding(rows: QuerySet[Sighting], column: str) -> set[str]:
    campaigns: dict[str, int] = defaultdict(int)
    recent = rows.filter(received_at__gte=clock.now() - _HOUR)
    for owner, _ in recent.values_list(column, "campaign_id").distinct():
        campaigns[owner] += 1
    return {owner for owner, count in campaigns.items() if count > reputation.CAMPAIGNS_AN_HOUR}
