"""The floor: indicators that are never blocked, whatever the feed, the policy or the console say.

Purpose: ``reason_protected`` answers in the centre before a decision becomes active, and again in every box
         before an entry is enforced: who owns the feed key still cannot cut a town hall from the State,
         from the internet's own services or from its centre.
Input:   hostile indicators; extra names and networks come from configuration or a signed policy.
Fails:   closed towards blocking: what cannot be parsed is refused, so it is not enforced.
Source:  docs/security/attack-model.md, abuse 3 and 10; the lists are in ``protected_lists``.
"""

from __future__ import annotations

import ipaddress
from bisect import bisect_right
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import urlsplit

from beffroi_protocol.errors import IndicatorInvalid
from beffroi_protocol.indicators import Indicator, Kind, normalise, registered_names
from beffroi_protocol.protected_lists import (
    EMPTY_SHA256,
    GIANTS,
    HOSTS_OTHERS,
    PLATFORMS,
    PUBLIC_SERVICES,
    SECOND_LEVELS,
    SHARED_SERVICES,
    SPECIAL_NETWORKS,
    SUFFIXES,
    WRITERS,
)

SHORTEST_PREFIX = {4: 24, 6: 48}
"""A ``cidr`` entry of a shorter prefix is refused: it would hit too many bystanders."""

PUBLIC, OWN, UNDER = "a public service", "the centre's own or a member's", "stands under it"
"""How reasons end that no careful list gives cause for."""
_GIANT, _PLATFORM, _WRITER = "used by everyone", "a shared platform", "writes for everyone"
_CLASSES: dict[str, str] = (
    dict.fromkeys(PLATFORMS, _PLATFORM)
    | dict.fromkeys(GIANTS, _GIANT)
    | dict.fromkeys(PUBLIC_SERVICES, PUBLIC)
)


def _parents(names: Iterable[str]) -> dict[str, str]:
    """Map each strict parent to one name under it: a block of the parent would take the name with it."""
    return {parent: name for name in names for parent in registered_names(name)[1:]}


_CLASS_PARENTS = _parents(_CLASSES)


class _Ranges:
    """Disjoint ranges of addresses of one family, found by bisection."""

    def __init__(self, networks: Iterable[tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, str]]) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._why: list[str] = []
        for network, why in sorted(
            networks, key=lambda pair: (int(pair[0].network_address), pair[0].prefixlen)
        ):
            low, high = int(network.network_address), int(network.broadcast_address)
            if self._ends and high <= self._ends[-1]:
                continue  # inside the range before: networks nest, they never overlap by halves
            self._starts.append(low)
            self._ends.append(high)
            self._why.append(f"{network}: {why}")

    def ranges(self) -> list[tuple[int, int]]:
        return list(zip(self._starts, self._ends, strict=True))

    def overlap(self, low: int, high: int) -> str:
        at = bisect_right(self._starts, high) - 1
        return self._why[at] if at >= 0 and self._ends[at] >= low else ""


class Floor:
    """The floor list with the extra names and networks of one centre or one box; build once, ask often."""

    def __init__(self, extra_names: Iterable[str] = (), extra_networks: Iterable[str] = ()) -> None:
        """Errors: IndicatorInvalid for an extra name or network that cannot be read."""
        self._extra = frozenset(_extra_name(name) for name in extra_names)
        self._extra_parents = _parents(self._extra)
        listed = [(ipaddress.ip_network(text), why) for text, why in (*SPECIAL_NETWORKS, *SHARED_SERVICES)]
        listed += [(_extra_network(text), OWN) for text in extra_networks]
        self._ranges = {v: _Ranges((n, why) for n, why in listed if n.version == v) for v in (4, 6)}

    def ranges(self, version: int) -> list[tuple[int, int]]:
        """Return the protected ranges of one family (4 or 6) as numbers, both ends included: ascending, disjoint."""
        return self._ranges[version].ranges()

    def reason(self, indicator: Indicator) -> str:
        """Return why ``indicator`` may not be blocked, "" when it may."""
        kind, value = indicator.kind, indicator.value
        try:
            if kind is Kind.DOMAIN:
                return self._name(value)
            if kind is Kind.IP:
                return self._network(ipaddress.ip_network(value))
            if kind is Kind.CIDR:
                return self._cidr(value)
            if kind is Kind.URL:
                return self._url(value)
        except ValueError:
            return "cannot be read"
        if kind is Kind.SENDER:
            return self._sender(value.rpartition("@")[2])
        if value == EMPTY_SHA256 or (kind is Kind.SKETCH and len(set(value)) < 2):
            return "the mark of empty content"
        return ""

    def _name(self, name: str) -> str:
        """A domain block takes the name and all below it, so equals, children and parents are asked."""
        for table in (self._extra_parents, _CLASS_PARENTS):
            if (under := table.get(name)) is not None:
                return f"{under} {UNDER}"
        if is_suffix(name):
            return "a public suffix"
        names = registered_names(name)
        if reason := self._own(names):
            return reason
        nearest = _nearest(names)
        if nearest is None or (nearest[1] is _PLATFORM and nearest[0] != name):
            return ""
        return f"{nearest[0]}: {nearest[1]}"

    def _url(self, url: str) -> str:
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
        if not host:
            return "cannot be read"
        if ":" in host or host.rpartition(".")[2].isdigit():
            return self._network(ipaddress.ip_network(host))
        if parts.path in ("", "/") and not parts.query:
            return self._name(host)  # the address of the home page is a block of the site
        names = registered_names(host)
        return self._own(names) if HOSTS_OTHERS.intersection(names) else self._subtree(host)

    def _subtree(self, name: str) -> str:
        """Full URLs and senders: only the State's, and the centre's and members' own."""
        names = registered_names(name)
        if reason := self._own(names):
            return reason
        for parent in names:
            if parent in PUBLIC_SERVICES:
                return f"{parent}: {PUBLIC}"
        return ""

    def _sender(self, domain: str) -> str:
        """Who lures through a service that writes for everyone is told by the page that it writes of."""
        writers = (f"{parent}: {_WRITER}" for parent in registered_names(domain) if parent in WRITERS)
        return self._subtree(domain) or next(writers, "")

    def _own(self, names: Iterable[str]) -> str:
        if self._extra:
            for parent in names:
                if parent in self._extra:
                    return f"{parent}: {OWN}"
        return ""

    def _cidr(self, value: str) -> str:
        network = ipaddress.ip_network(value)
        if network.prefixlen < SHORTEST_PREFIX[network.version]:
            return f"wider than /{SHORTEST_PREFIX[network.version]}"
        return self._network(network)

    def _network(self, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> str:
        low, high = int(network.network_address), int(network.broadcast_address)
        return self._ranges[network.version].overlap(low, high)


def reason_protected(
    indicator: Indicator, *, extra_names: Iterable[str] = (), extra_networks: Iterable[str] = ()
) -> str:
    """Return why ``indicator`` may never be blocked, "" when it may.

    Names: ``extra_names`` protect their name, all below it and every parent; networks: any overlap.
    Errors: IndicatorInvalid for an extra name or network that cannot be read.
    Cost:   some microseconds; the extras are indexed once for equal values.
    """
    return _floor(tuple(extra_names), tuple(extra_networks)).reason(indicator)


@lru_cache(maxsize=8)
def _floor(extra_names: tuple[str, ...], extra_networks: tuple[str, ...]) -> Floor:
    return Floor(extra_names, extra_networks)


def _nearest(names: Iterable[str]) -> tuple[str, str] | None:
    """The first listed one of a name and its parents: a platform under a giant keeps its own rule."""
    for parent in names:
        if (found := _CLASSES.get(parent)) is not None:
            return parent, found
    return None


def too_wide(indicator: Indicator) -> bool:
    """Whether one entry for all communes would open, or block, far more than one thing: canonical indicators."""
    if indicator.kind is Kind.CIDR:
        network = ipaddress.ip_network(indicator.value)
        return network.prefixlen < SHORTEST_PREFIX[network.version]
    return indicator.kind is Kind.DOMAIN and is_suffix(indicator.value)


def is_suffix(name: str) -> bool:
    labels = name.split(".")
    if len(labels) == 1 or name in SUFFIXES:
        return True
    return len(labels) == 2 and len(labels[1]) == 2 and labels[0] in SECOND_LEVELS


def _extra_name(text: str) -> str:
    name = text.strip().strip(".").lower()
    if not name.isascii():
        return normalise(Kind.DOMAIN, name).value  # as the block of it would be spelt
    if name and len(name) <= 253 and all(name.split(".")):
        return name
    raise IndicatorInvalid("protected name", text[:80])


def _extra_network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        raise IndicatorInvalid("protected network", text[:80]) from None
