"""Which active decisions hold a message: the one question of withdrawal, restoration and late deliveries.

The answer is the mail door's (mail/gate/rules.py), later: an exact match, and for an address also its ranges; nothing
of what the collectivité lets through.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from itertools import batched

from beffroi_protocol.indicators import Indicator, Kind, registered_names
from django.db.models import Exists, OuterRef, Q, QuerySet

from beffroi.core.decisions import queries, rules
from beffroi.core.decisions.models import SCOPE_ALL, Decision
from beffroi.mail.gate.facts import Observation
from beffroi.mail.gate.rules import asked
from beffroi.mail.models import MailDelivery, MailObservation

HOLDING_ACTIONS = ("block", "quarantine")
EXACT_KINDS = ("url", "domain", "ip", "sha256", "sender", "sketch")
"""A message is on record with the sketches that it is near to (``gate.texts``)."""
KINDS = (*EXACT_KINDS, "cidr")
MOST_VALUES = 500
"""Values a query, below every database's limit of parameters."""


def applies(kind: str, action: str) -> bool:
    return action in HOLDING_ACTIONS and kind in KINDS


def holding(message_id: str, collectivite_id: str) -> list[Decision]:
    """Active decisions that hold a copy of this message in this collectivité, oldest first."""
    seen = _refusable(message_id, collectivite_id)
    if not seen:
        return []
    rows = Decision.objects.filter(
        Q(kind__in=EXACT_KINDS, value__in={value for _, value in seen}) | Q(kind="cidr"),
        state=Decision.State.ACTIVE,
        action__in=HOLDING_ACTIONS,
        scope__in=(SCOPE_ALL, collectivite_id),
    )
    addresses = [value for kind, value in seen if kind == "ip"]
    return [
        decision
        for decision in rows.order_by("activated_at", "id")
        if (decision.kind, decision.value) in seen
        or (decision.kind == "cidr" and any(_within(decision.value, addresses)))
    ]


def held_among(message_ids: Collection[str]) -> set[str]:
    """Those of these messages of which some active decision speaks, whomever it is for: two queries for all."""
    seen = MailObservation.objects.filter(message_id__in=message_ids)
    active = Decision.objects.filter(state=Decision.State.ACTIVE, action__in=HOLDING_ACTIONS)
    named = active.filter(kind__in=EXACT_KINDS, kind=OuterRef("kind"), value=OuterRef("value"))
    found = set(seen.filter(Exists(named)).values_list("message_id", flat=True))
    networks = list(active.filter(kind="cidr").values_list("value", flat=True))
    if networks:
        for message_id, address in seen.filter(kind="ip").values_list("message_id", "value"):
            if any(any(_within(network, [address])) for network in networks):
                found.add(message_id)
    return found


def copies_under(decision: Decision) -> list[MailDelivery]:
    """Every delivered copy that the decision, which is in force, speaks about."""
    found: dict[int, MailDelivery] = {}
    for seen in observations(decision):
        rows = MailDelivery.objects.filter(message_id__in=seen.values("message_id"))
        if decision.scope != SCOPE_ALL:
            rows = rows.filter(collectivite_id=decision.scope)
        found.update((row.pk, row) for row in rows)
    opened = queries.letting_through(decision.indicator)

    @cache  # a message goes to many mailboxes of a collectivité
    def holds(message_id: str, collectivite_id: str) -> bool:
        return collectivite_id not in opened or decision in holding(message_id, collectivite_id)

    return [copy for _, copy in sorted(found.items()) if holds(copy.message_id, copy.collectivite_id)]


def _refusable(message_id: str, collectivite_id: str) -> set[tuple[str, str]]:
    """(kind, value) of all that a decision may name for this collectivité to hold the message."""
    rows = list(MailObservation.objects.filter(message_id=message_id))
    seen = {(one.kind, one.value) for one in rows}
    passing = queries.let_through(collectivite_id)
    if not passing:
        return seen
    every = asked(Observation(Indicator(Kind(one.kind), one.value), one.role) for one in rows)
    left = [one for one in every if not any(rules.covers(wide, one) for wide in passing)]
    names = {name for one in left if one.kind is Kind.DOMAIN for name in registered_names(one.value)}
    speaking = {(one.kind.value, one.value) for one in left} | {(Kind.DOMAIN.value, name) for name in names}
    return seen & speaking


def observations(decision: Decision) -> Iterator[QuerySet[MailObservation]]:
    """What the decision speaks about, in portions."""
    if decision.kind != "cidr":
        yield MailObservation.objects.filter(kind=decision.kind, value=decision.value)
        return
    # Read from the index (kind, value): as texts, addresses of one range do not stand together.
    known = MailObservation.objects.filter(kind="ip").values_list("value", flat=True).distinct()
    inside = list(_within(decision.value, known.iterator()))
    for some in batched(inside, MOST_VALUES, strict=False):
        yield MailObservation.objects.filter(kind="ip", value__in=some)


def _within(network: str, addresses: Iterable[str]) -> Iterator[str]:
    """The addresses that lie in the network; of the other family none does."""
    wanted = ipaddress.ip_network(network)
    return (address for address in addresses if ipaddress.ip_address(address) in wanted)
