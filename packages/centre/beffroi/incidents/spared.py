"""An entry of a list passes everywhere for good, or no longer: what it opened is a false alarm, or was none.

Purpose: close the incidents of lists that rest on nothing but what passes at every door; open them again when it is
         refused again and the list is still in force. One that rests on more stays open, with a line that says so.
Process: worker.
Rule:    an incident rests on what its evidence names. Evidence that does not name everything (a boîtier told a sum of
         several values, or of an older version) never closes by machine: what it leaves out may be a real attacker.
Source:  docs/internals/incidents.md, Lists.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from beffroi_protocol.errors import IndicatorInvalid
from beffroi_protocol.indicators import Indicator, Kind, normalise
from django.db.models import Q

from beffroi.core.decisions import queries, rules
from beffroi.core.decisions.models import IndicatorList, NeverAgain
from beffroi.core.identity.actor import Actor
from beffroi.incidents import actions
from beffroi.incidents.look_back_lists import MOST_NAMED
from beffroi.incidents.models import Incident, IncidentEvidence
from beffroi.lib import clock

PARTLY = "never_again_partly"
OF_LISTS = "lst_"
"""How the subject of an incident begins that a list opened: the list's identifier."""


@dataclass(frozen=True)
class Grounds:
    """What an incident rests on. ``whole``: nothing is left out."""

    indicators: frozenset[Indicator]
    whole: bool


def follow(never_again_id: str) -> int:
    """Bring the incidents of lists in line with one "never again", as it is now; return how many changed."""
    row = NeverAgain.objects.filter(pk=never_again_id).first()
    if row is None:
        return 0
    of_lists = Incident.objects.filter(subject__startswith=OF_LISTS)
    if _passes(row, clock.now()):
        return sum(_spare(row, one) for one in of_lists.exclude(state=Incident.State.CLOSED))
    subjects = _lists_in_force()
    closed = of_lists.filter(state=Incident.State.CLOSED, close_reason=actions.SPARED)
    return sum(_refuse_again(row, one) for one in closed if one.subject in subjects)


def _spare(row: NeverAgain, incident: Incident) -> bool:
    grounds = grounds_of(incident.evidence.all())
    mine = [one for one in grounds.indicators if rules.covers(row.indicator, one)]
    if not mine:
        return False
    data = {"value": row.value[:200], "never_again_id": row.id}
    if grounds.whole and all(queries.never_blocked(one) is not None for one in grounds.indicators):
        actions.close_spared(actor=_by(row.created_by), incident=incident, data=data)
        return True
    known = incident.entries.filter(code=PARTLY, data__never_again_id=row.id)
    if not known.exists():
        actions.add_entry(actor=actions.SYSTEM, incident=incident, code=PARTLY, data=data)
    return False


def _refuse_again(row: NeverAgain, incident: Incident) -> bool:
    indicators = grounds_of(incident.evidence.all()).indicators
    mine = [one for one in indicators if rules.covers(row.indicator, one)]
    if not any(queries.never_blocked(one) is None for one in mine):
        return False  # nothing of it, or another word lets it pass still
    data = {"value": row.value[:200], "never_again_id": row.id}
    return actions.reopen_spared(actor=_by(row.revoked_by), incident=incident, data=data)


def grounds_of(evidence: Iterable[IncidentEvidence]) -> Grounds:
    """Read what doors said that they met."""
    found: set[Indicator] = set()
    whole = True
    for one in evidence:
        if one.source.endswith("_look_back"):
            pairs, all_of_it = _named(one.source, json.loads(one.content))
            named = {indicator for kind, value in pairs if (indicator := _read(kind, value)) is not None}
            found |= named
            whole = whole and all_of_it and bool(named)
    return Grounds(frozenset(found), whole and bool(found))


def _named(source: str, told: Mapping[str, Any]) -> tuple[list[tuple[object, object]], bool]:
    if source == "packet_look_back":
        return [(told.get("indicator_kind"), told.get("indicator_value"))], told.get("values") == 1
    signed_in = source == "login_look_back"
    kind = Kind.IP.value if signed_in else told.get("kind")
    values = told.get("addresses" if signed_in else "values")
    listed = values if isinstance(values, list) else []
    return [(kind, one) for one in listed], 0 < len(listed) < MOST_NAMED


def _read(kind: object, value: object) -> Indicator | None:
    try:
        return normalise(str(kind), str(value))
    except IndicatorInvalid:
        return None


def _passes(row: NeverAgain, now: datetime) -> bool:
    return row.revoked_at is None and (row.until is None or row.until > now)


def _lists_in_force() -> set[str]:
    alive = Q(expires_at=None) | Q(expires_at__gt=clock.paced_now())
    return set(IndicatorList.objects.filter(alive, action="block").values_list("id", flat=True))


def _by(actor_id: str) -> Actor:
    """Who said it: an administrator, or the end of its term."""
    if actor_id.startswith("adm_"):
        return Actor("administrator", actor_id, None, "administrator")
    return Actor.system(actor_id)
