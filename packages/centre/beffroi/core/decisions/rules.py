"""What covers what, and who may let something through locally. Pure: typed values in, answers out.

Rule:    an exception of a person of the commune lasts an hour at most and never opens a command server, nor what
         several communes saw as an attack; the Département may, for longer. What it opens is closed again
         when such a decision comes later.
Source:  docs/internals/decisions.md; docs/security/attack-model.md, abuse 16.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import takewhile

from beffroi_protocol.indicators import Indicator, Kind
from beffroi_protocol.threats import NEVER_LIFTED

BY_HAND = (Kind.IP, Kind.CIDR, Kind.DOMAIN, Kind.URL, Kind.SHA256)
"""What a person may block for all."""
_NETWORKS = frozenset({Kind.IP, Kind.CIDR})
COMMAND_SERVER = NEVER_LIFTED | {"box_beacon", "box_dns_tunnel"}
"""Reasons, threats of lists and detectors that say: something inside talks to its master."""
SEVERAL = 2
EXTEND_FROM = 0.1
MAX_LOCAL_EXCEPTIONS = 50
"""Active ones of a collectivité: a person who lets everything through has no protection left."""


def network_of(indicator: Indicator) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """What a canonical address or range covers; None for every other kind."""
    return ipaddress.ip_network(indicator.value) if indicator.kind in _NETWORKS else None


def covers(wide: Indicator, narrow: Indicator) -> bool:
    """Whether ``narrow`` is ``wide``, a subdomain of it, or lies in its range. Both canonical."""
    if wide == narrow:
        return True
    if wide.kind is Kind.DOMAIN and narrow.kind is Kind.DOMAIN:
        return narrow.value.endswith("." + wide.value)
    if wide.kind is Kind.CIDR and narrow.kind in _NETWORKS:
        outer, inner = ipaddress.ip_network(wide.value), ipaddress.ip_network(narrow.value)
        return outer.version == inner.version and inner.subnet_of(outer)  # type: ignore[arg-type]
    return False


def shared_text(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> str:
    """How every address of it begins as text, so that an index over texts finds them. Which zeros of an IPv6 address
    are left out depends on the rest of it."""
    pairs = zip(str(network[0]), str(network[-1]), strict=False)
    return "".join(one for one, _ in takewhile(lambda pair: pair[0] == pair[1], pairs)).partition("::")[0]


def touches(one: Indicator, other: Indicator) -> bool:
    """Whether a refusal of one refuses something of the other."""
    return covers(one, other) or covers(other, one)


@dataclass(frozen=True)
class Held:
    """A decision in force, as far as exceptions ask about it."""

    reason: str
    rule: str
    evidence: Mapping[str, object]


def is_command_server(held: Held) -> bool:
    named = held.evidence.get("detectors")
    detectors = {str(one) for one in named} if isinstance(named, list | tuple) else set()
    return bool(COMMAND_SERVER & (detectors | {held.reason, held.rule}))


def seen_by_several(held: Held) -> bool:
    communes = held.evidence.get("communes")
    return isinstance(communes, int) and communes >= SEVERAL


def exception_refused(held: Iterable[Held], *, departement: bool) -> str:
    """Return why these decisions may not be set aside locally: "command_server", "seen_by_several", or ""."""
    found = list(held)
    if any(map(is_command_server, found)):
        return "command_server"
    if not departement and any(map(seen_by_several, found)):
        return "seen_by_several"
    return ""


def gains(later: timedelta, ttl_s: int) -> bool:
    """Whether an active decision is extended, which would end so much ``later``: when that gains a tenth of its life.
    A flood of reports is not a flood of batches."""
    return later >= timedelta(seconds=ttl_s * EXTEND_FROM)
