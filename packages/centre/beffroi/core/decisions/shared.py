"""Addresses that serve members or protected names: others live there too, so they are not blocked by address.

Purpose: town halls are customers of large hosters, and so are their attackers. A block of the shared address would cut
         off the town hall's own site, or its mail. No rule blocks such an address and no list may hold it; a person
         may, who was told whom it serves.
Process: any with the database; ``watch.shared_addresses`` fills the table.
Fails:   an address that nobody resolved yet, or not for ``queries.SHARED_KEPT``, is like any other.
Source:  docs/decisions/0028-exposure-and-shared-addresses.md.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Collection, Iterable

from beffroi_protocol.indicators import Indicator, Kind
from django.db import transaction

from beffroi.core.decisions import actions, queries, reach, rules, stages
from beffroi.core.decisions.models import Decision, SharedAddress
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock

REASON = "address_shared"
_ACTOR = Actor.system("decisions.shared")
_mail_hosts: list[Callable[[Collection[str]], set[str]]] = []


def mail_hosts[F: Callable[[Collection[str]], set[str]]](function: F) -> F:
    """Register ``f(addresses)``: those that hand in mail which has nothing to do with any campaign of today."""
    _mail_hosts.append(function)
    return function


def handing_in(addresses: Collection[str]) -> set[str]:
    """Those of these addresses that mail comes from."""
    reach.load_doors()
    return set().union(*(known(addresses) for known in _mail_hosts))


@transaction.atomic
def note(name: str, addresses: Iterable[str]) -> None:
    """These addresses serve ``name`` now: what rules decided about one of them ends."""
    for address in addresses:
        _, new = SharedAddress.objects.update_or_create(
            address=address, defaults={"name": name, "seen_at": clock.paced_now()}
        )
        if new:
            held = Decision.objects.filter(state__in=Decision.OPEN).exclude(rule=stages.DEPARTEMENT)
            served_by = Indicator(Kind.IP, address)
            for one in list(queries.near(held, served_by)):
                if rules.covers(one.indicator, served_by):
                    actions.revoke(actor=_ACTOR, decision=one, reason=REASON)


def forget_old() -> int:
    """Return how many are known afterwards."""
    SharedAddress.objects.filter(seen_at__lt=clock.paced_now() - queries.SHARED_KEPT).delete()
    return SharedAddress.objects.count()


def served(addresses: Collection[str]) -> dict[str, str]:
    """Return whom each of these addresses serves, as far as it serves anybody."""
    return dict(queries.shared_addresses().filter(address__in=addresses).values_list("address", "name"))


def met(indicator: Indicator) -> list[str]:
    """Whom a block of this address or range would cut off besides; empty for every other kind."""
    if (network := rules.network_of(indicator)) is None:
        return []
    near = queries.shared_addresses().filter(address__startswith=rules.shared_text(network))
    known = near.values_list("address", "name")
    return sorted({name for address, name in known if ipaddress.ip_address(address) in network})
