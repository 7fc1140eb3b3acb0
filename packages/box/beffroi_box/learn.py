"""What the town hall lives on, learned while the box observes; and which machines go round the box.

Purpose: before default deny bites, the console shows the inbound flows that were answered and the services in use.
Privacy: inbound sources as /24 or /48; outbound only services of the catalogue, without any address.
Process: the agent's thread ``watch``. Pure but for the spool it fills.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from beffroi_protocol.facts import Bypass, FlowsLearned

from beffroi_box.facts import FactSpool, new_id
from beffroi_box.services import recognise
from beffroi_box.tallies import Tally

TELL_EVERY_S = 3600
MOST_KEYS = 300
PREFIX = {4: 24, 6: 48}
DAY_S = 86400
MOST_ASKING = 4 * MOST_KEYS
SILENT_FLOWS = 50
"""A machine with so many flows that never asked the box for a name has another resolver, or a tunnel."""
ROUND = {53: "foreign_dns", 853: "dot", 443: "doh"}

_Key = tuple[str, str, int, str, str]


class Learner:
    def __init__(self, spool: FactSpool) -> None:
        self._spool = spool
        self._counts: dict[_Key, list[int]] = {}
        self._known: set[_Key] = set()
        self._told_at = 0
        self._news = False

    def inbound(self, guests: Iterable[Tally], *, now: int) -> None:
        """Flows from the internet that were answered."""
        for tally in guests:
            length = PREFIX[6 if ":" in tally.address else 4]
            remote = str(ipaddress.ip_network((tally.address, length), strict=False))
            self._count(("in", tally.protocol, tally.port, remote, ""), tally.packets, now)

    def outbound(self, met: Iterable[Tally], places: dict[str, str], *, now: int) -> None:
        for tally in met:
            if service := recognise(tally.other, tally.protocol, tally.port, places):
                self._count(("out", tally.protocol, tally.port, "", service), tally.packets, now)

    def _count(self, key: _Key, number: int, now: int) -> None:
        if key not in self._known:
            if len(self._known) >= MOST_KEYS:
                return
            self._known.add(key)
            self._news = True
        count = self._counts.setdefault(key, [0, now, now])
        count[0] += number
        count[2] = now

    def tell(self, *, now: int) -> None:
        """Tell what is new at once, the rest every hour."""
        if not self._counts or not (self._news or now - self._told_at >= TELL_EVERY_S):
            return
        for (direction, protocol, port, remote, service), (count, first, last) in self._counts.items():
            self._spool.learned(
                FlowsLearned(new_id(), direction, protocol, port, count, first, last, remote, service)
            )
        self._counts, self._news, self._told_at = {}, False, now


class Rounds:
    """Machines that go round the box: told when a kind has one more of them than before that day."""

    def __init__(self, spool: FactSpool) -> None:
        self._spool = spool
        self._day = 0
        self._machines: dict[str, set[str]] = {}
        self._told: dict[str, int] = {}
        self._flows: dict[str, int] = {}
        self._asks: set[str] = set()

    def tried(self, tallies: Iterable[Tally]) -> None:
        for tally in tallies:
            if kind := ROUND.get(tally.port):
                self.seen(kind, tally.address)

    def seen(self, kind: str, machine: str) -> None:
        machines = self._machines.setdefault(kind, set())
        if len(machines) < MOST_KEYS:
            machines.add(machine)

    def talked(self, met: Iterable[Tally]) -> None:
        for tally in met:
            if tally.address in self._flows or len(self._flows) < MOST_KEYS:
                self._flows[tally.address] = self._flows.get(tally.address, 0) + tally.packets

    def asked(self, tallies: Iterable[Tally]) -> None:
        self._asks.update(tally.address for tally in tallies if len(self._asks) < MOST_ASKING)

    def tell(self, *, now: int) -> None:
        if now // DAY_S != self._day:
            if self._day:
                self._machines, self._told, self._flows, self._asks = {}, {}, {}, set()
            self._day = now // DAY_S
        for machine, flows in self._flows.items():
            # One that found no place among forged addresses is no suspect.
            if flows >= SILENT_FLOWS and machine not in self._asks and len(self._asks) < MOST_ASKING:
                self.seen("own_resolver", machine)
        for kind, machines in self._machines.items():
            if len(machines) > self._told.get(kind, 0):
                self._told[kind] = len(machines)
                self._spool.tell(Bypass(new_id(), kind, len(machines), now))
