"""Counts made fewer when there is no room: one for all ports of an address. Pure.

Rule:    oldest first; the sum of a count is kept, its ports are lost; evidence is never touched.
Caller:  ``facts.FactSpool``, which sees to it that a sum and its parts are never both on the disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec
from beffroi_protocol.facts import Fact, FlowsBlocked, FlowsLearned, LookBack, NamesRefused, RefusedTotals
from beffroi_protocol.indicators import Indicator

MAX_MACHINES = 8
_COUNTS = (FlowsBlocked, NamesRefused, FlowsLearned, LookBack, RefusedTotals)


@dataclass
class Count:
    """``machines``: labels of who began it, the first eight."""

    count: int
    first_at: int
    last_at: int
    entry_id: str
    id: str
    machines: list[str] = field(default_factory=list)

    def called(self, machine: str) -> None:
        if machine and machine not in self.machines and len(self.machines) < MAX_MACHINES:
            self.machines.append(machine)

    def add(self, other: Count) -> None:
        self.count += other.count
        self.first_at, self.last_at = min(self.first_at, other.first_at), max(self.last_at, other.last_at)
        self.entry_id = other.entry_id or self.entry_id
        for machine in other.machines:
            self.called(machine)


def fold_oldest(flows: dict[tuple[Indicator, str, int], Count], coming: Indicator) -> bool:
    """Merge all ports of the oldest address that has several; of the one that ``coming`` names where none has.

    Return whether anything was merged under another key."""
    several: dict[Indicator, int] = {}
    for indicator, _, _ in flows:
        several[indicator] = several.get(indicator, 0) + 1
    oldest = next((one for one, number in several.items() if number > 1), None)
    chosen = oldest or (coming if coming in several else None)
    if chosen is None:
        return False
    _merge(flows, chosen)
    return True


def _merge(flows: dict[tuple[Indicator, str, int], Count], indicator: Indicator) -> None:
    first, *others = [key for key in flows if key[0] == indicator]
    total = flows.pop(first)
    for key in others:
        total.add(flows.pop(key))
    flows[indicator, "", 0] = total


def counted(fact: Fact) -> bool:
    """Whether it is a count or an answer that another one can stand for, and no evidence of its own."""
    return isinstance(fact, _COUNTS)


def urgency(fact: Fact) -> int:
    """0 is sent first."""
    if isinstance(fact, NamesRefused) or (isinstance(fact, FlowsBlocked) and fact.direction == "out"):
        return 1
    return 2 if isinstance(fact, FlowsBlocked | FlowsLearned) else 0


def folded(facts: Iterable[Fact], most: int) -> tuple[list[Fact], int]:
    """Return what is left of facts read back from disk when counts are merged: ``most`` of them, and all evidence;
    and how many counts were lost. What comes in is lost first, oldest first."""
    evidence: list[Fact] = []
    sums: dict[tuple[object, ...], Fact] = {}
    for fact in facts:
        if not counted(fact):
            evidence.append(fact)
            continue
        key = _key(fact)
        known = sums.get(key)
        sums[key] = fact if known is None else _sum(known, fact)
    left: Sequence[Fact] = sorted(sums.values(), key=urgency)
    lost = max(0, len(left) - most)
    if lost:
        kept = sorted(left, key=lambda fact: (urgency(fact), -_last_at(fact)))[:most]
        left = kept
    return [*evidence, *left], lost


def _key(fact: Fact) -> tuple[object, ...]:
    match fact:
        case FlowsBlocked(indicator=indicator, direction=direction):
            return FlowsBlocked, indicator, direction
        case NamesRefused(indicator=indicator):
            return NamesRefused, indicator
        case LookBack(entry_id=entry_id):
            return LookBack, entry_id
        case RefusedTotals(direction=direction):
            return RefusedTotals, direction
        case FlowsLearned():
            return FlowsLearned, fact.direction, fact.protocol, fact.port, fact.remote, fact.service
        case _:
            return type(fact), fact.id


def _last_at(fact: Fact) -> int:
    return fact.last_at if isinstance(fact, _COUNTS) else 0


def _sum(one: Fact, other: Fact) -> Fact:
    """Of two facts with the same key. A later look back says all of the days before: it stands for the former."""
    match one, other:
        case FlowsBlocked(), FlowsBlocked():
            ports = (
                {}
                if one.port == other.port and one.protocol == other.protocol
                else {"protocol": "", "port": 0}
            )
            return msgspec.structs.replace(one, **_span(one, other), **_named(one, other), **ports)
        case NamesRefused(), NamesRefused():
            return msgspec.structs.replace(one, **_span(one, other), **_named(one, other))
        case FlowsLearned(), FlowsLearned():
            return msgspec.structs.replace(one, **_span(one, other))
        case RefusedTotals(), RefusedTotals():
            return msgspec.structs.replace(
                one,
                packets=one.packets + other.packets,
                attempts=one.attempts + other.attempts,
                first_at=min(one.first_at, other.first_at),
                last_at=max(one.last_at, other.last_at),
            )
        case _:
            return other


type _Spanned = FlowsBlocked | NamesRefused | FlowsLearned


def _span(one: _Spanned, other: _Spanned) -> dict[str, int]:
    return {
        "count": one.count + other.count,
        "first_at": min(one.first_at, other.first_at),
        "last_at": max(one.last_at, other.last_at),
    }


def _named(one: FlowsBlocked | NamesRefused, other: FlowsBlocked | NamesRefused) -> dict[str, object]:
    machines = tuple(dict.fromkeys((*one.machines, *other.machines)))[:MAX_MACHINES]
    return {"machines": machines, "entry_id": other.entry_id or one.entry_id}
