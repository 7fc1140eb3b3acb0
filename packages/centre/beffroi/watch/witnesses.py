"""Whose word counts in a campaign now: reads earlier sightings for ``reputation``, decides nothing.

Rule:    people are judged by what people reported; a detector of a commune's boxes by what that detector told. An alarm
         of a box, which an attacker can set off, silences nobody else.
Confidential: what is read here leaves ``watch`` as a count only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import QuerySet

from beffroi.core.identity import activation
from beffroi.lib import clock
from beffroi.watch import reputation
from beffroi.watch.models import Campaign, Sighting
from beffroi.watch.reputation import Outcome
from beffroi.watch.rules import Witness

BY_A_PERSON = "user_report"
_State = Campaign.State
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


def has_said_enough(sighting: Sighting, campaign: Campaign | None) -> bool:
    """Whether who tells this told of the campaign again and again within the hour; or never of it, but of many others.
    ``campaign``: None where it would be a new one. Not asked of what is nobody's, as guesses at all doors are."""
    same = Sighting.objects.filter(
        collectivite_id=sighting.collectivite_id, person_id=sighting.person_id, detector=sighting.detector
    ).exclude(campaign=None)
    recent = same.filter(received_at__gte=clock.now() - _HOUR)
    if campaign is not None and recent.filter(campaign=campaign).count() >= reputation.REPEATS_AN_HOUR:
        return True
    if not sighting.collectivite_id or (campaign is not None and same.filter(campaign=campaign).exists()):
        return False
    return recent.values("campaign_id").distinct().count() >= reputation.NEW_CAMPAIGNS_AN_HOUR


def boxes_heard(campaign: Campaign, told: Collection[Told]) -> frozenset[Told]:
    """Return the detectors of boxes whose word counts in a campaign: those that were not mostly wrong."""
    owners: dict[str, set[str]] = defaultdict(set)
    for one in told:
        owners[one.detector].add(one.collectivite_id)
    heard = set()
    for detector, every in owners.items():
        rows = Sighting.objects.filter(detector=detector, collectivite_id__in=every)
        low = _low(rows, "collectivite_id", campaign, least=reputation.COMMUNE_LEAST)
        heard |= {Told(owner, detector) for owner in every - low - {""}}
    return frozenset(heard)


def _low(rows: QuerySet[Sighting], column: str, campaign: Campaign, *, least: float) -> set[str]:
    since = clock.now() - _MEMORY
    judged = rows.filter(campaign__last_seen__gte=since).exclude(campaign=campaign)
    # Few were ever wrong; what the others were right about, which is much, is not read.
    wrong = _outcomes(judged.filter(campaign__state__in=Campaign.CLOSED), column)
    suspects = {one for one, found in wrong.items() if reputation.is_low(found, least=least)}
    if not suspects:
        return suspects
    right = _outcomes(judged.filter(campaign__state=_State.DECIDED, **{f"{column}__in": suspects}), column)
    return {one for one in suspects if reputation.is_low(wrong[one] + right[one], least=least)}


def _outcomes(rows: QuerySet[Sighting], column: str) -> dict[str, list[Outcome]]:
    outcomes: dict[str, list[Outcome]] = defaultdict(list)
    now = clock.now()
    told = rows.values_list(column, "campaign_id", "campaign__state", "campaign__last_seen").distinct()
    for value, _, state, at in told:
        outcomes[value].append(Outcome(state == _State.DECIDED, (now - at).total_seconds()))
    return outcomes


def _flooding(rows: QuerySet[Sighting], column: str) -> set[str]:
    campaigns: dict[str, int] = defaultdict(int)
    recent = rows.filter(received_at__gte=clock.now() - _HOUR)
    for owner, _ in recent.values_list(column, "campaign_id").distinct():
        campaigns[owner] += 1
    return {owner for owner, count in campaigns.items() if count > reputation.CAMPAIGNS_AN_HOUR}
