"""Whose word counts in a campaign now: reads earlier sightings for ``reputation``, decides nothing.

Confidential: what is read here leaves ``watch`` as a count only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import timedelta

from django.db.models import QuerySet

from beffroi.lib import clock
from beffroi.watch import reputation
from beffroi.watch.models import Campaign, Sighting
from beffroi.watch.reputation import Outcome
from beffroi.watch.rules import Witness

_State = Campaign.State
_CLOSED = {_State.DECIDED: True, _State.DISMISSED: False, _State.REVOKED: False}


def reliable(campaign: Campaign, witnesses: Iterable[Witness]) -> frozenset[Witness]:
    """Return the witnesses of a campaign whose word counts."""
    found = set(witnesses)
    persons = _low("person_id", {w.person_id for w in found}, campaign, least=reputation.PERSON_LEAST)
    owners = {w.collectivite_id for w in found}
    communes = _low("collectivite_id", owners, campaign, least=reputation.COMMUNE_LEAST) | _flooding(owners)
    return frozenset(w for w in found if w.person_id not in persons and w.collectivite_id not in communes)


def _low(column: str, values: set[str], campaign: Campaign, *, least: float) -> set[str]:
    outcomes: dict[str, list[Outcome]] = defaultdict(list)
    now = clock.now()
    rows = (
        _presses(column, values)
        .filter(campaign__state__in=_CLOSED, campaign__last_seen__gte=now - _MEMORY)
        .exclude(campaign=campaign)
        .values_list(column, "campaign_id", "campaign__state", "campaign__last_seen")
        .distinct()
    )
    for value, _, state, at in rows:
        outcomes[value].append(Outcome(_CLOSED[_State(state)], (now - at).total_seconds()))
    return {value for value, found in outcomes.items() if reputation.is_low(found, least=least)}


def _flooding(owners: set[str]) -> set[str]:
    rows = (
        _presses("collectivite_id", owners)
        .filter(received_at__gte=clock.now() - timedelta(hours=1))
        .values_list("collectivite_id", "campaign_id")
        .distinct()
    )
    campaigns: dict[str, int] = defaultdict(int)
    for owner, _ in rows:
        campaigns[owner] += 1
    return {owner for owner, count in campaigns.items() if count > reputation.CAMPAIGNS_AN_HOUR}


def _presses(column: str, values: set[str]) -> QuerySet[Sighting]:
    return Sighting.objects.filter(**{f"{column}__in": values - {""}}).exclude(campaign=None)


_MEMORY = timedelta(seconds=reputation.MEMORY_S)
