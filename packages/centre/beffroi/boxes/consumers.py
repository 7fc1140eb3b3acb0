"""What the centre does with the facts that boîtiers send.

Process: worker.
Input:   hostile boxes: numbers are bounded by stream, dates and counts again here; a box speaks only for its own
         collectivité, which comes from its row. A sighting of a box is evidence, never a verdict.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

import msgspec
from beffroi_protocol.errors import UNDECODABLE
from beffroi_protocol.facts import (
    Bypass,
    Diagnosis,
    EntryRefused,
    Fact,
    FlowsBlocked,
    FlowsLearned,
    LookBack,
    MailRelayed,
    NamesRefused,
    PolicyRolledBack,
    RefusedTotals,
    Sighting,
    SoftwareUpdated,
)
from django.db.models import F

from beffroi.boxes import (
    ahead,  # noqa: F401 - registers its own
    diagnoses,
    domains,  # noqa: F401 - registers its own
    learned,  # noqa: F401 - registers its own
    openings,  # noqa: F401 - registers its own
    relay,
    releases,
)
from beffroi.boxes.models import Box, BoxNotice, FlowCount, RefusedDay
from beffroi.core.events import outbox
from beffroi.core.events.models import InboxFact
from beffroi.core.events.registry import DECISIONS, Event, consumer
from beffroi.lib import clock
from beffroi.lib.ids import new_id
from beffroi.lib.limits import RateLimit

MAX_COUNT = 10_000_000
MAX_PACKETS = 10_000_000_000
SIGHTINGS_BURST, SIGHTINGS_PER_S = 300.0, 0.1
"""Of one box: what an honest one tells after a bad night (200 of a detector a day). Each is some hundredths of a second
in which the sightings of all others wait."""
_sightings = RateLimit(burst=SIGHTINGS_BURST, per_s=SIGHTINGS_PER_S)
_DECODER: msgspec.json.Decoder[Fact] = msgspec.json.Decoder(Fact)


@consumer(name="boxes.facts", kinds=("fact:received",), lane=DECISIONS)
def take_in_fact(event: Event) -> None:
    row = InboxFact.objects.filter(pk=str(event.payload.get("fact_id", ""))).first()
    if row is None or not row.source.startswith("box_") or row.collectivite_id is None:
        return
    try:
        fact = _DECODER.decode(row.payload)
    except UNDECODABLE:
        return  # stored by a newer stream: nothing that this version can show
    if isinstance(fact, FlowsBlocked):
        direction = fact.direction if fact.direction in ("in", "out") else "out"
        _count(row, fact, direction)
    elif isinstance(fact, NamesRefused):
        _count(row, fact, "name")
    elif isinstance(fact, RefusedTotals):
        _sum(row, fact)
    elif isinstance(fact, Sighting):
        _report(row, fact)
    elif isinstance(fact, LookBack | FlowsLearned | Bypass):
        _tell(row, fact)
    elif isinstance(fact, Diagnosis):
        diagnoses.keep(row.source, fact)
    elif isinstance(fact, SoftwareUpdated):
        releases.keep(row.source, fact)
    elif isinstance(fact, MailRelayed):
        relay.keep(row.collectivite_id, fact, _when(fact.last_at))
    else:
        _notice(row, fact)


def _count(row: InboxFact, fact: FlowsBlocked | NamesRefused, direction: str) -> None:
    last_at = _when(fact.last_at)
    count, _ = FlowCount.objects.get_or_create(
        collectivite_id=row.collectivite_id,
        day=last_at.date(),
        kind=str(fact.indicator.kind),
        value=fact.indicator.value,
        direction=direction,
        defaults={"last_at": last_at, "entry_id": fact.entry_id[:40]},
    )
    FlowCount.objects.filter(pk=count.pk).update(
        count=F("count") + max(0, min(fact.count, MAX_COUNT)), last_at=max(count.last_at, last_at)
    )
    outbox.publish(
        "box:flows_counted",
        {
            "box_id": row.source,
            "kind": str(fact.indicator.kind),
            "value": fact.indicator.value,
            "direction": direction,
            "entry_id": fact.entry_id[:40],
            "count": max(0, min(fact.count, MAX_COUNT)),
            "machines": list(fact.machines),
        },
        collectivite_id=row.collectivite_id,
    )


def _sum(row: InboxFact, fact: RefusedTotals) -> None:
    sums, _ = RefusedDay.objects.get_or_create(
        collectivite_id=row.collectivite_id, day=_when(fact.last_at).date(), direction=fact.direction
    )
    RefusedDay.objects.filter(pk=sums.pk).update(
        packets=F("packets") + min(fact.packets, MAX_PACKETS),
        attempts=F("attempts") + min(fact.attempts, fact.packets, MAX_COUNT),
    )


def _notice(row: InboxFact, fact: EntryRefused | PolicyRolledBack) -> None:
    values: dict[str, object] = {}
    if isinstance(fact, EntryRefused):
        kind = "entry_refused"
        values = {
            "entry_id": fact.entry_id[:40],
            "indicator_kind": str(fact.indicator.kind),
            "indicator_value": fact.indicator.value,
        }
    else:
        kind = "policy_rolled_back"
        values = {"policy_version": min(fact.policy_version, 2**31 - 1)}
        Box.objects.filter(pk=row.source).update(rolled_back_version=values["policy_version"])
    _, new = BoxNotice.objects.get_or_create(
        pk=row.id,
        defaults={
            "box_id": row.source,
            "collectivite_id": row.collectivite_id or "",
            "kind": kind,
            "reason": fact.reason[:200],
            "at": _when(fact.at),
            **values,
        },
    )
    if new:
        outbox.publish(
            f"box:{kind}", {"box_id": row.source, "notice_id": row.id}, collectivite_id=row.collectivite_id
        )


_EVENTS = {LookBack: "box:looked_back", FlowsLearned: "box:flow_learned", Bypass: "box:bypassed"}


def _tell(row: InboxFact, fact: LookBack | FlowsLearned | Bypass) -> None:
    """Say it to whoever needs it, once for each fact: all its fields, numbers bounded, times near ours."""
    payload: dict[str, object] = {"box_id": row.source, "fact_id": row.id}
    for name in fact.__struct_fields__:
        value = getattr(fact, name)
        if name == "id":
            continue
        if name == "indicator":
            payload |= {"indicator_kind": str(value.kind), "indicator_value": value.value}
        elif name in {"at", "first_at", "last_at"}:
            payload[name] = int(_when(value).timestamp())
        else:
            payload[name] = min(value, MAX_COUNT) if isinstance(value, int) else value
    outbox.publish(_EVENTS[type(fact)], payload, collectivite_id=row.collectivite_id)


def _report(row: InboxFact, fact: Sighting) -> None:
    """The prefix keeps a box from naming a detector of the centre, whose word would weigh more."""
    # For the commune's own incident, whoever else sees the same. Sightings themselves are confidential to watch.
    outbox.publish(
        "box:alarm",
        {
            "box_id": row.source,
            "fact_id": row.id,
            "detector": fact.detector[:60],
            "seen_at": int(_when(fact.seen_at).timestamp()),
            "indicators": [[str(i.kind), i.value] for i in fact.indicators],
            "evidence": dict(fact.evidence),
        },
        collectivite_id=row.collectivite_id,
    )
    if not _sightings.take(row.source, 1, now_s=time.monotonic()):
        return
    outbox.publish(
        "sighting:from_box",
        {
            "sighting_id": new_id("sgt"),
            "detector": f"box_{fact.detector[:60]}",
            "door": "packet",
            "collectivite_id": row.collectivite_id,
            "person_id": "",
            "seen_at": _when(fact.seen_at).timestamp(),
            "indicators": [[str(i.kind), i.value] for i in fact.indicators],
            "evidence": dict(fact.evidence),
            "message": "",
        },
        collectivite_id=row.collectivite_id,
    )


def _when(epoch_s: int) -> datetime:
    """A box's time, kept near the centre's: a wrong clock must not fill the days of another year."""
    now = clock.epoch_s()
    return datetime.fromtimestamp(min(now, max(now - 40 * 86400, epoch_s)), UTC)
