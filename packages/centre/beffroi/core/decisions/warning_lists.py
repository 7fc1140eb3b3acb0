"""Well-known services, from the MISP warning lists: who blocks them for all hits everyone.

Chosen with care. A list is *in* when a block of its members would hurt town halls and its members are not for rent:
banks, content networks, the big mail services' servers, Microsoft 365 and Google, captive-portal checks, the top sites.
Left *out*: clouds for rent (AWS, Azure, GCP, OVH: attackers rent there too), the 62,000 open resolvers (mostly
forgotten routers; the real public resolvers are in the protocol's floor), the million-site lists (they hold
malicious names), shorteners and scanners.

Read lazily, from the package ``pymispwarninglists`` (its own loader would read 70 MB); half a
second, once a process; worker does before it takes anything.
"""

from __future__ import annotations

import ipaddress
import json
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from beffroi_protocol.indicators import registered_names
from beffroi_protocol.protected_lists import PLATFORMS
from publicsuffixlist import PSLFILE, PublicSuffixList, encode_idn

_TREES = {
    "bank-website": "a bank",
    "microsoft": "Microsoft's services",
    "microsoft-office365": "Microsoft's services",
    "microsoft-win10-connection-endpoints": "Microsoft's services",
    "google": "Google's services",
    "captive-portals": "a connection check of devices",
}
_TOP_SITES = ("moz-top500", "tranco10k")
_TENANTED = ("lots-project", "link-in-bio")
_NETWORKS = {
    "akamai": "a content network",
    "cloudflare": "a content network",
    "fastly": "a content network",
    "stackpath": "a content network",
    "apple": "Apple's services",
    "wikimedia": "Wikimedia",
    "microsoft-office365-ip": "Microsoft's services",
    "google-gmail-sending-ips": "a large mail service",
    "smtp-receiving-ips": "a large mail service",
}
_HOSTING = ("ovh-cluster",)
"""Where many customers' sites share an address: a name there says nothing about the address."""
_HASHES = ("common-ioc-false-positive", "empty-hashes")
_SHA256_HEX = 64


@dataclass(frozen=True)
class WarningLists:
    """``trees``: a name and all below it. ``exact``: a name and its ``www``. ``tenanted``: what is below is rented.
    ``ruled``: what rules of public suffixes name; ``wild``: where any label below is one. Few names need more."""

    trees: dict[str, str]
    above: frozenset[str]
    exact: frozenset[str]
    tenanted: frozenset[str]
    hashes: frozenset[str]
    ranges: dict[int, tuple[list[int], list[int], list[str]]]
    suffixes: PublicSuffixList
    ruled: frozenset[str]
    wild: frozenset[str]

    def name(self, name: str) -> str:
        """Why the name and all below it may not be blocked, or an empty string."""
        if self._is_public(name):
            return "a public suffix"
        if name in self.exact or name.removeprefix("www.") in self.exact:
            return "one of the most visited sites"
        if name in self.above:
            return "a well-known service stands under it"
        return self.tree(name)

    def _is_public(self, name: str) -> bool:
        _, dot, parent = name.partition(".")
        return (not dot or name in self.ruled or parent in self.wild) and self.suffixes.is_public(name)

    def tree(self, name: str) -> str:
        names = registered_names(name)
        if self.trees.keys().isdisjoint(names):
            return ""
        for parent in names:
            if why := self.trees.get(parent):
                return why
            # Below a platform everyone may rent a name: its landlord's place on a list protects no tenant.
            if parent != name and (parent in self.tenanted or self.suffixes.is_public(parent)):
                return ""
        return ""

    def bank(self, name: str) -> str:
        return why if (why := self.tree(name)) == _TREES["bank-website"] else ""

    def network(self, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> str:
        """Why some address of the network may not be blocked, or an empty string."""
        starts, ends, reasons = self.ranges[network.version]
        at = bisect_right(starts, int(network.broadcast_address)) - 1
        return reasons[at] if at >= 0 and ends[at] >= int(network.network_address) else ""


@cache
def load() -> WarningLists:
    """Read the lists of this package: half a second, once a process."""
    trees: dict[str, str] = {}
    for name, why in _TREES.items():
        trees.update((host, why) for host in _hosts(name) if host not in trees)
    tenanted = frozenset(PLATFORMS).union(*(_hosts(name) for name in _TENANTED))
    trees = {host: why for host, why in trees.items() if host not in tenanted}
    return WarningLists(
        trees=trees,
        above=frozenset(parent for host in trees for parent in registered_names(host)[1:]),
        exact=frozenset(trees).union(*(_hosts(name) for name in _TOP_SITES)),
        tenanted=tenanted,
        hashes=frozenset(text for name in _HASHES for text in _entries(name) if len(text) == _SHA256_HEX),
        ranges=_ranges(),
        suffixes=PublicSuffixList(),
        **_rules(),
    )


@cache
def _hosting() -> frozenset[str]:
    networks = (ipaddress.ip_network(one) for name in _HOSTING for one in _entries(name))
    return frozenset(str(n.network_address) for n in networks if n.num_addresses == 1)


def read() -> None:
    """All of it now: a second, which else the first that asks waits for."""
    load()
    _hosting()


def hosted(address: str) -> bool:
    """Whether a canonical address is one of a hoster's machines for many customers."""
    return address in _hosting()


def _rules() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {"ruled": set(), "wild": set()}
    for line in Path(PSLFILE).read_text("utf-8").splitlines():
        if (rule := line.partition(" ")[0].lower()) and not rule.startswith("//"):
            name = rule.removeprefix("!").removeprefix("*.")
            for kind in ("ruled", "wild") if rule.startswith("*.") else ("ruled",):
                found[kind] |= {name, encode_idn(name)}
    return {kind: frozenset(names) for kind, names in found.items()}


def _entries(name: str) -> list[str]:
    path = files("pymispwarninglists") / "data" / "misp-warninglists" / "lists" / name / "list.json"
    return [str(entry).strip().lower() for entry in json.loads(path.read_text("utf-8"))["list"]]


def _hosts(name: str) -> Iterable[str]:
    return (host for entry in _entries(name) if "/" not in entry and "." in (host := entry.strip(".")))


def _ranges() -> dict[int, tuple[list[int], list[int], list[str]]]:
    found: list[tuple[int, int, int, str]] = []
    for name, why in _NETWORKS.items():
        for text in _entries(name):
            network = ipaddress.ip_network(text, strict=False)
            if network.is_global:
                found.append(
                    (network.version, int(network.network_address), int(network.broadcast_address), why)
                )
    ranges: dict[int, tuple[list[int], list[int], list[str]]] = {4: ([], [], []), 6: ([], [], [])}
    for version, low, high, why in sorted(found, key=lambda one: (one[0], one[1], -one[2])):
        starts, ends, reasons = ranges[version]
        if not ends or high > ends[-1]:  # networks nest: what is inside the one before adds nothing
            starts.append(low)
            ends.append(high)
            reasons.append(why)
    return ranges
