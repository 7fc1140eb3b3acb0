"""A list is published or grows: who met what is new in it, in 30 days of evidence: one incident a collectivité.

Purpose: as ``look_back`` for decisions, without a row or an incident for each of a hundred thousand values.
Process: worker. Sign-ins are looked up here, mail by the mail service (``mail:listed``), flows by the boîtiers.
Hostile: a lying box speaks for its own commune, and only about values that the list names.
Bounds:  a sum for each door; sessions do not end, since a list is no decision about one attacker.
Source:  docs/internals/incidents.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby

from beffroi_protocol.errors import IndicatorInvalid
from beffroi_protocol.indicators import Indicator, Kind, normalise

from beffroi.core.decisions import listed, queries, rules
from beffroi.core.decisions.models import SCOPE_ALL, IndicatorList
from beffroi.core.identity import sign_ins
from beffroi.incidents import actions
from beffroi.incidents.actions import SYSTEM
from beffroi.incidents.models import Encounter
from beffroi.incidents.recorded import Captured
from beffroi.incidents.rules import MAX_SESSIONS_ENDED, listed_kind
from beffroi.incidents.told import number_of, time_of

MOST_NAMED = 20
"""Values that a door names: of more, those that are left out are not known (``spared``)."""


def look_at_sign_ins(payload: Mapping[str, object]) -> int:
    """Open an incident for each collectivité of which few people signed in from a new address of a list; how many.
    Many people behind one address are a town hall's own, or a carrier's. Errors: Unavailable."""
    told = queries.grown(payload)
    if told is None or told.row.kind not in ("ip", "cidr"):
        return 0
    row, kind = told.row, Kind(told.row.kind)
    found = listed.named(told.growth, kind, sign_ins.addresses())
    passing = {one for one in found if queries.never_blocked(Indicator(Kind.IP, one)) is not None}
    scope = "" if row.scope == SCOPE_ALL else row.scope
    seen = sorted(
        sign_ins.from_addresses(found.keys() - passing, collectivite_id=scope),
        key=lambda one: one.collectivite_id,
    )
    opened = 0
    for owner, group in groupby(seen, key=lambda one: one.collectivite_id):
        people = [one for one in group if not _excepted(owner, Indicator(Kind.IP, one.rows[0].address))]
        if not 0 < len({one.person_id for one in people}) <= MAX_SESSIONS_ENDED:
            continue
        rows = [one for person in people for one in person.rows]
        evidence = {
            "people": len({one.person_id for one in people}),
            "addresses": sorted({one.address for one in rows})[:MOST_NAMED],
        }
        _met(
            row,
            owner,
            "login",
            count=sum(one.count for one in people),
            days=len({one.day for one in rows}),
            first_at=min(one.first_at for one in people),
            last_at=max(one.last_at for one in people),
            told=evidence,
        )
        opened += 1
    return opened


def take_in_flows(*, collectivite_id: str, payload: Mapping[str, object]) -> None:
    """A boîtier found values of a list in its diary: a sum, and the value that was met most."""
    row = IndicatorList.objects.filter(name=str(payload.get("entry_id", "")), action="block").first()
    count = number_of(payload, "count")
    if row is None or not count or row.scope not in (SCOPE_ALL, collectivite_id):
        return
    try:
        most = normalise(str(payload.get("indicator_kind")), str(payload.get("indicator_value")))
    except IndicatorInvalid:
        return
    if not any(one.indicator == most for one in listed.covering([row], most)):
        return  # a box that answers another question than the one that was asked
    if queries.never_blocked(most) is not None or _excepted(collectivite_id, most):
        return
    first_at, last_at = time_of(payload, "first_at"), time_of(payload, "last_at")
    _met(
        row,
        collectivite_id,
        "packet",
        count=count,
        days=min(number_of(payload, "days"), 31),
        first_at=min(first_at, last_at),
        last_at=last_at,
        told=dict(payload),
    )


def take_in_mail(*, collectivite_id: str, payload: Mapping[str, object]) -> None:
    """Copies were delivered that hold what a list names since."""
    row = IndicatorList.objects.filter(pk=str(payload.get("list_id", ""))).first()
    if row is None or not (count := number_of(payload, "copies")):
        return
    first_at, last_at = time_of(payload, "first_at"), time_of(payload, "last_at")
    days = number_of(payload, "days")
    _met(
        row,
        collectivite_id,
        "mail",
        count=count,
        days=days,
        first_at=first_at,
        last_at=last_at,
        told=dict(payload),
    )


def _met(row: IndicatorList, owner: str, door: str, **found: object) -> None:
    met, _ = Encounter.objects.update_or_create(
        decision_id=row.id, collectivite_id=owner, door=door, defaults={"remaining": 1, **found}
    )
    incident = actions.open_incident(
        actor=SYSTEM,
        kind=listed_kind(row.threat, door),
        collectivite_id=owner,
        subject=row.id,
        occurred_at=met.first_at,
        data={"count": met.count, "days": met.days, "list": row.name, "door": door},
        evidence=[
            Captured(
                "list",
                row.published_at,
                {"list": row.name, "source": row.source, "licence": row.licence, "threat": row.threat},
            ),
            Captured(f"{door}_look_back", met.last_at, met.told),
        ],
    )
    Encounter.objects.filter(pk=met.pk).update(incident_id=incident.id)


def _excepted(owner: str, indicator: Indicator) -> bool:
    return any(rules.covers(one, indicator) for one in queries.let_through(owner))
