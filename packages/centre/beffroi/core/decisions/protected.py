"""What no decision may ever block for all.

Five layers: the floor of the protocol, which every box enforces again by itself (the State, reserved ranges,
public resolvers); well-known services (``warning_lists``); the members' domains; the centre's own names and addresses;
what a person said must never be decided again. For lists a sixth: addresses that serve a member or a protected name
(``shared``); a person may decide about such an address, a list is nobody's word.
Fails: closed towards blocking; what cannot be read is protected.
"""

from __future__ import annotations

import ipaddress
from bisect import bisect_left
from functools import lru_cache
from urllib.parse import urlsplit

from beffroi_protocol.errors import ProtocolError
from beffroi_protocol.indicators import Indicator, Kind, normalise
from beffroi_protocol.protected import OWN, PUBLIC, UNDER, Floor
from django.conf import settings
from django.db.models import Q

from beffroi.core.communes.queries import domain_names
from beffroi.core.decisions import queries, rules, warning_lists
from beffroi.core.decisions.models import NeverAgain
from beffroi.lib import clock
from beffroi.lib.config import Config

NEVER_AGAIN = "never again, said the Département"
SHARED = "serves a member or a protected name"


class ProtectedList:
    """Build once, ask often: a question takes some microseconds."""

    def __init__(
        self,
        names: tuple[str, ...],
        networks: tuple[str, ...],
        never: tuple[tuple[str, str], ...] = (),
        shared: tuple[str, ...] = (),
    ) -> None:
        self.names = names
        self.networks = networks
        self._never = [Indicator(Kind(kind), value) for kind, value in never]
        self._floor = Floor(names, networks)
        self._shared = sorted(map(ipaddress.ip_address, shared), key=_order)

    def check(self, indicator: Indicator) -> str:
        """Return why the indicator must not be blocked, or an empty string if it may be."""
        try:
            canonical = normalise(indicator.kind, indicator.value)
        except ProtocolError:
            return "cannot be read"
        return self.reason(canonical)

    def reason(self, canonical: Indicator) -> str:
        """As ``check``, of what ``normalise`` returned."""
        return (
            self._floor.reason(canonical)
            or _listed(canonical)
            or self._serves(canonical)
            or self._taken_back(canonical)
        )

    def grave(self, canonical: Indicator) -> bool:
        """Whether the State, a member or the centre itself is meant: no careful list names that. The rest of the floor
        (private and wide ranges, resolvers, what everybody uses) stands on many lists by habit."""
        return self._floor.reason(canonical).endswith((PUBLIC, OWN, UNDER))

    def _serves(self, indicator: Indicator) -> str:
        if not self._shared or (network := rules.network_of(indicator)) is None:
            return ""
        at = bisect_left(self._shared, _order(network.network_address), key=_order)
        return SHARED if any(one in network for one in self._shared[at : at + 1]) else ""

    def _taken_back(self, indicator: Indicator) -> str:
        if not self._never:
            return ""
        found = any(rules.touches(indicator, one) for one in self._never)
        return NEVER_AGAIN if found else ""


def _order(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> tuple[int, int]:
    return address.version, int(address)


def _listed(indicator: Indicator) -> str:
    lists = warning_lists.load()
    kind, value = indicator.kind, indicator.value
    if kind is Kind.DOMAIN:
        return lists.name(value)
    if kind in (Kind.IP, Kind.CIDR):
        return lists.network(ipaddress.ip_network(value))
    if kind is Kind.URL:
        return _url(value)
    if kind is Kind.SENDER:
        return lists.bank(value.rpartition("@")[2])
    return "a file that everyone has" if value in lists.hashes else ""


def _url(url: str) -> str:
    parts = urlsplit(url)
    if parts.path not in ("", "/") or parts.query:
        return ""  # one page of a large site may be bad; the page is blocked, never the site
    host = parts.hostname or ""
    try:
        network = ipaddress.ip_network(host)
    except ValueError:
        return warning_lists.load().name(host)
    return warning_lists.load().network(network)


def current() -> ProtectedList:
    """The list of this centre and its members as they are now; built anew only after a change."""
    return _current(_never())


def blockable() -> ProtectedList:
    """What a bulk list may hold: what is never blocked again may stay in it, shared addresses may not."""
    return _current((), _shared())


def listable() -> ProtectedList:
    """Both: what a source is judged by."""
    return _current(_never(), _shared())


def _never() -> tuple[tuple[str, str], ...]:
    said = NeverAgain.objects.filter(revoked_at=None, pending=False)
    alive = said.filter(Q(until=None) | Q(until__gt=clock.paced_now()))
    return tuple(sorted(alive.values_list("kind", "value")))


def _shared() -> tuple[str, ...]:
    return tuple(sorted(queries.shared_addresses().values_list("address", flat=True)))


def _current(never: tuple[tuple[str, str], ...], shared: tuple[str, ...] = ()) -> ProtectedList:
    config: Config = settings.BEFFROI
    own = {config.portal_name, config.console_name, config.box_name, config.mail_name}
    names = own | set(config.protected_names.split()) | set(domain_names())
    return _build(tuple(sorted(names)), own_networks(config), never, shared)


def own_networks(config: Config) -> tuple[str, ...]:
    """The centre's addresses as the internet and the boxes see them."""
    listed = config.own_addresses.split()
    if config.listen != "*":
        listed.append(config.listen)
    return tuple(sorted(set(listed)))


@lru_cache(maxsize=4)
def _build(
    names: tuple[str, ...],
    networks: tuple[str, ...],
    never: tuple[tuple[str, str], ...],
    shared: tuple[str, ...],
) -> ProtectedList:
    return ProtectedList(names, networks, never, shared)
