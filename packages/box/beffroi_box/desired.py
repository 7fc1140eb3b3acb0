"""What the box should refuse, computed from the feed's tables and the protected floor. Pure: no I/O, no clock.

Purpose: turn a change of a table into the smallest change of kernel sets and resolver names.
Input:   entries were signed by the centre, and are judged again here: whoever owns the feed key still cannot
         cut a town hall from the State, from its centre or from itself.
Units:   ``now`` and expiries in trusted epoch seconds.
Source:  docs/internals/box.md; docs/security attack 3 and 10.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from beffroi_protocol.indicators import Indicator, Kind, is_canonical, registered_names
from beffroi_protocol.messages import Action, Entry, Policy
from beffroi_protocol.protected import SHORTEST_PREFIX, Floor
from beffroi_protocol.table import Change, DecisionTable

MOST_ADDRESSES = 250_000
"""Below what a set of the kernel holds (``ruleset.HOT_SIZE``): one transaction adds before what ended is freed."""
MOST_LIFE_S = 10**10
"""Three centuries: half of what the kernel counts in nanoseconds."""
NO_ROOM = "more addresses than the box holds"
"""Known to the centre's words."""


@dataclass(frozen=True)
class Own:
    """What belongs to this box and its centre, whatever the policy says."""

    names: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()


@dataclass
class Delta:
    """What has to change. ``networks`` and ``spares`` are the whole new list (prefix sets are swapped), None when
    unchanged; ``other_names``: exceptions or observed names changed."""

    hot_add: dict[str, int] = field(default_factory=dict)
    hot_remove: set[str] = field(default_factory=set)
    networks: tuple[str, ...] | None = None
    spares: tuple[str, ...] | None = None
    other_names: bool = False
    names_add: set[str] = field(default_factory=set)
    names_remove: set[str] = field(default_factory=set)
    refused: list[tuple[Entry, str]] = field(default_factory=list)

    @property
    def kernel(self) -> bool:
        return bool(self.hot_add or self.hot_remove or self.networks is not None or self.spares is not None)

    @property
    def names(self) -> bool:
        return bool(self.names_add or self.names_remove or self.other_names)


def extras_of(policy: Policy, own: Own) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names and the networks that this box protects beside the floor list."""
    return (
        (*own.names, *policy.centre_names, *policy.protected_names),
        (*own.networks, *policy.centre_addresses, *policy.protected_networks),
    )


class Desired:
    """``hot``: address -> expiry; ``nets``: prefix -> expiry; ``names``: name -> expiry. All of them are refused.
    ``left_out``: addresses beyond MOST_ADDRESSES. The latest decisions are in force, of attacks that go on now; where
    one ends, the last that was left out comes back.

    ``spared`` (addresses and prefixes) and ``spared_names``: local exceptions, each with its expiry. ``watched``: what
    is observed and counted, never refused.
    """

    def __init__(self, floor: Floor) -> None:
        self._floor = floor
        self._entries: dict[Indicator, dict[tuple[str, str], Entry]] = {}
        self._where: dict[tuple[str, str], Indicator] = {}
        self.hot: dict[str, int] = {}
        self.left_out: dict[str, int] = {}
        self.nets: dict[str, int] = {}
        self.names: dict[str, int] = {}
        self.spared: dict[str, int] = {}
        self.spared_names: dict[str, int] = {}
        self.watched: dict[Indicator, Entry] = {}

    def load(self, tables: Iterable[DecisionTable], *, now: int) -> Delta:
        """Take saved tables over at a start."""
        touched = [self._put(table.channel, entry) for table in tables for entry in table]
        return self._settle(touched, now=now)

    def change(self, change: Change, *, now: int) -> Delta:
        touched: list[Indicator] = []
        if change.reset:
            kept = {entry.id for entry in change.added}
            for key in [k for k in self._where if k[0] == change.channel and k[1] not in kept]:
                touched.append(self._drop(key))
        for entry in change.removed:
            if (change.channel, entry.id) in self._where:
                touched.append(self._drop((change.channel, entry.id)))
        for entry in change.added:
            if (change.channel, entry.id) in self._where:
                touched.append(self._drop((change.channel, entry.id)))
            touched.append(self._put(change.channel, entry))
        return self._settle(touched, now=now)

    def set_floor(self, floor: Floor, *, now: int) -> Delta:
        self._floor = floor
        return self._settle(self._entries, now=now)

    def expire(self, *, now: int) -> Delta:
        """Names and prefixes have no timer in the engines: their end is found here."""
        due = {Indicator(Kind.DOMAIN, n) for n, end in self.names.items() if end <= now}
        due |= {Indicator(Kind.CIDR, n) for n, end in self.nets.items() if end <= now}
        due |= {Indicator(Kind.IP, n) for n, end in (*self.hot.items(), *self.left_out.items()) if end <= now}
        due |= {_address(n) for n, end in self.spared.items() if end <= now}
        due |= {Indicator(Kind.DOMAIN, n) for n, end in self.spared_names.items() if end <= now}
        due |= {i for i, entry in self.watched.items() if entry.expires_at <= now}
        return self._settle(due, now=now) if due else Delta()

    def entry_for_address(self, address: str) -> Entry | None:
        """Return an entry that covers the address, for the record of a refused flow."""
        if address in self.hot:
            return self._blocking(Indicator(Kind.IP, address))
        around = (prefix for prefix in prefixes_around(address, SHORTEST_PREFIX) if prefix in self.nets)
        return next((self._blocking(Indicator(Kind.CIDR, prefix)) for prefix in around), None)

    def _blocking(self, indicator: Indicator) -> Entry | None:
        entries = self._entries.get(indicator, {}).values()
        return next((e for e in entries if e.action is Action.BLOCK), None)

    def watched_address(self, address: str) -> Entry | None:
        """Return the observed entry that covers this address, the narrowest one."""
        if not self.watched:
            return None
        if (entry := self.watched.get(Indicator(Kind.IP, address))) is not None:
            return entry
        around = prefixes_around(address, SHORTEST_PREFIX)
        found = (self.watched.get(Indicator(Kind.CIDR, prefix)) for prefix in around)
        return next((entry for entry in found if entry is not None), None)

    def watched_name(self, name: str) -> Entry | None:
        found = (self.watched.get(Indicator(Kind.DOMAIN, parent)) for parent in registered_names(name))
        return next((entry for entry in found if entry is not None), None)

    def watched_names(self) -> tuple[str, ...]:
        return tuple(i.value for i in self.watched if i.kind is Kind.DOMAIN)

    def entry_for_name(self, name: str) -> Entry | None:
        """Return an entry for which this name is refused: its own, or a parent's."""
        for parent in registered_names(name):
            if parent in self.names:
                return self._blocking(Indicator(Kind.DOMAIN, parent))
        return None

    def _put(self, channel: str, entry: Entry) -> Indicator:
        self._entries.setdefault(entry.indicator, {})[(channel, entry.id)] = entry
        self._where[(channel, entry.id)] = entry.indicator
        return entry.indicator

    def _drop(self, key: tuple[str, str]) -> Indicator:
        indicator = self._where.pop(key)
        holders = self._entries[indicator]
        del holders[key]
        if not holders:
            del self._entries[indicator]
        return indicator

    def _settle(self, touched: Iterable[Indicator], *, now: int) -> Delta:
        """In the order of ``touched``: what comes later is newer."""
        delta = Delta()
        nets_changed = spares_changed = False
        for indicator in dict.fromkeys(touched):
            spared, observed = self._settle_other(indicator, now=now)
            if indicator.kind is Kind.DOMAIN:
                delta.other_names |= spared or observed
            else:
                spares_changed |= spared
            end = self._judge(indicator, delta, now=now)
            if indicator.kind is Kind.IP:
                self._settle_address(indicator.value, end, delta)
            elif indicator.kind is Kind.CIDR:
                nets_changed |= _keep(self.nets, indicator.value, end)
            elif indicator.kind is Kind.DOMAIN and _keep(self.names, indicator.value, end):
                (delta.names_add if end else delta.names_remove).add(indicator.value)
        self._make_room(delta)
        if nets_changed:
            delta.networks = self.networks()
        if spares_changed:
            delta.spares = self.spares()
        return delta

    def _settle_other(self, indicator: Indicator, *, now: int) -> tuple[bool, bool]:
        """Return whether it became or ceased to be an exception, and whether to be observed."""
        where = self.spared_names if indicator.kind is Kind.DOMAIN else self.spared
        active = [e for e in self._entries.get(indicator, {}).values() if e.expires_at > now]
        spares = [e.expires_at for e in active if e.action is Action.ALLOW and is_canonical(indicator)]
        spared = _keep(where, indicator.value, max(spares, default=0))
        was_observed = indicator in self.watched
        observed = next((e for e in active if e.action is Action.WARN), None)
        if observed is not None:
            self.watched[indicator] = observed
        else:
            self.watched.pop(indicator, None)
        return spared, was_observed != (observed is not None)

    def _settle_address(self, address: str, end: int, delta: Delta) -> None:
        if end and self.left_out.get(address) == end:
            return
        self.left_out.pop(address, None)
        before = self.hot.get(address, 0)
        if end and end != before:
            self.hot.pop(address, None)  # decided again, it is among the latest
            self.hot[address] = delta.hot_add[address] = end
        elif before and not end:
            del self.hot[address]
            delta.hot_remove.add(address)

    def _make_room(self, delta: Delta) -> None:
        """A full set would refuse the whole transaction, and each one after it."""
        first = not self.left_out
        for address in list(islice(self.hot, max(0, len(self.hot) - MOST_ADDRESSES))):
            self.left_out[address] = self.hot.pop(address)
            delta.hot_add.pop(address, None)
            delta.hot_remove.add(address)
        while self.left_out and len(self.hot) < MOST_ADDRESSES:
            address, end = self.left_out.popitem()
            self.hot[address] = delta.hot_add[address] = end
            delta.hot_remove.discard(address)
        if first and self.left_out:
            entry = self._blocking(Indicator(Kind.IP, next(iter(self.left_out))))
            delta.refused += [(entry, NO_ROOM)] if entry is not None else []

    def _judge(self, indicator: Indicator, delta: Delta, *, now: int) -> int:
        """Return the latest expiry of the entries that may be enforced, 0 for none."""
        active = [
            entry
            for entry in self._entries.get(indicator, {}).values()
            if entry.action is Action.BLOCK and entry.expires_at > now
        ]
        if not active:
            return 0
        # A value that is not canonical could mean another thing to an engine than to the floor.
        reason = self._floor.reason(indicator) if is_canonical(indicator) else "not in canonical spelling"
        if reason:
            delta.refused += [(entry, reason) for entry in active]
            return 0
        return max(entry.expires_at for entry in active)

    def networks(self) -> tuple[str, ...]:
        """The prefixes without overlaps (the kernel refuses them), IPv4 first."""
        return _merged(self.nets)

    def spares(self) -> tuple[str, ...]:
        """Excepted addresses and prefixes, likewise."""
        return _merged(self.spared)

    def is_spared_address(self, address: str) -> bool:
        return self.is_spared_network(address)

    def is_spared_network(self, network: str) -> bool:
        """Whether an exception covers all of this address or prefix."""
        wanted = ipaddress.ip_network(network)
        spares = (ipaddress.ip_network(spare) for spare in self.spared)
        return any(s.version == wanted.version and wanted.subnet_of(s) for s in spares)  # type: ignore[arg-type]

    def is_spared_name(self, name: str) -> bool:
        return any(parent in self.spared_names for parent in registered_names(name))

    def is_protected(self, address: str) -> bool:
        return bool(self._floor.reason(Indicator(Kind.IP, address)))


def prefixes_around(address: str, shortest: Mapping[int, int]) -> Iterator[str]:
    """Yield the prefixes that cover an address, itself apart, narrowest first, to the shortest length of its family:
    a few look-ups for each logged packet, not a walk through all prefixes."""
    parsed = ipaddress.ip_address(address)
    for length in range(parsed.max_prefixlen - 1, shortest[parsed.version] - 1, -1):
        yield str(ipaddress.ip_network((address, length), strict=False))


def _merged(values: Iterable[str]) -> tuple[str, ...]:
    parsed = [ipaddress.ip_network(value) for value in values]
    merged4 = ipaddress.collapse_addresses(n for n in parsed if isinstance(n, ipaddress.IPv4Network))
    merged6 = ipaddress.collapse_addresses(n for n in parsed if isinstance(n, ipaddress.IPv6Network))
    return (*map(str, merged4), *map(str, merged6))


def _address(value: str) -> Indicator:
    return Indicator(Kind.CIDR if "/" in value else Kind.IP, value)


def _keep(where: dict[str, int], value: str, end: int) -> bool:
    """Return whether the value came or went."""
    before = value in where
    if end:
        where[value] = end
    else:
        where.pop(value, None)
    return before != bool(end)


def lives_ms(ends: Mapping[str, int], *, now: int) -> dict[str, int]:
    """Return the kernel timeout of each element, at least one second. One that is longer than the kernel counts would
    be refused with all others."""
    return {value: min(max(1, end - now), MOST_LIFE_S) * 1000 for value, end in ends.items()}
