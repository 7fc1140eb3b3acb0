"""What no decision may ever block for all.

Five layers: the floor of the protocol, which every box enforces again by itself (the State, reserved ranges,
public resolvers); well-known services (``warning_lists``); the members' domains; the centre's own names and addresses;
what a person said must never be decided again.
Fails: closed towards blocking; what cannot be read is protected.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from urllib.parse import urlsplit

from beffroi_protocol.errors import ProtocolError
from beffroi_protocol.indicators import Indicator, Kind, normalise
from beffroi_protocol.protected import Floor
from django.conf import settings
from django.db.models import Q

from beffroi.core.communes import queries
from beffroi.core.decisions import rules, warning_lists
from beffroi.core.decisions.models import NeverAgain
from beffroi.lib import clock
from beffroi.lib.config import Config

NEVER_AGAIN = "never again, said the Département"


class ProtectedList:
    """Build once, ask often: a question takes some microseconds."""

    def __init__(
        self, names: tuple[str, ...], networks: tuple[str, ...], never: tuple[tuple[str, str], ...] = ()
    ) -> None:
        self.names = names
        self.networks = networks
        self._never = [Indicator(Kind(kind), value) for kind, value in never]
        self._floor = Floor(names, networks)

    def check(self, indicator: Indicator) -> str:
        """Return why the indicator must not be blocked, or an empty string if it may be."""
        try:
            canonical = normalise(indicator.kind, indicator.value)
        except ProtocolError:
            return "cannot be read"
        return self.reason(canonical)

    def reason(self, canonical: Indicator) -> str:
        """As ``check``, of what ``normalise`` returned."""
        return self._floor.reason(canonical) or _listed(canonical) or self._taken_back(canonical)

    def _taken_back(self, indicator: Indicator) -> str:
        if not self._never:
            return ""
        found = any(rules.touches(indicator, one) for one in self._never)
        return NEVER_AGAIN if found else ""


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
    alive = NeverAgain.objects.filter(Q(until=None) | Q(until__gt=clock.now()), revoked_at=None)
    return _current(tuple(sorted(alive.values_list("kind", "value"))))


def blockable() -> ProtectedList:
    """The same without what is never blocked again: what a bulk list may hold."""
    return _current(())


def _current(never: tuple[tuple[str, str], ...]) -> ProtectedList:
    config: Config = settings.BEFFROI
    own = {config.portal_name, config.console_name, config.box_name, config.mail_name}
    names = own | set(config.protected_names.split()) | set(queries.domain_names())
    return _build(tuple(sorted(names)), own_networks(config), never)


def own_networks(config: Config) -> tuple[str, ...]:
    """The centre's addresses as the internet and the boxes see them."""
    listed = config.own_addresses.split()
    if config.listen != "*":
        listed.append(config.listen)
    return tuple(sorted(set(listed)))


@lru_cache(maxsize=4)
def _build(
    names: tuple[str, ...], networks: tuple[str, ...], never: tuple[tuple[str, str], ...]
) -> ProtectedList:
    return ProtectedList(names, networks, never)
