"""A list is published or grows: which delivered mails hold what is new in it, in 30 days of evidence.

Purpose: sums a collectivité for ``mail:listed``; whoever leads incidents takes them from there. No copy is withdrawn: a
         list is no decision, and one wrong line of it must not empty mailboxes.
Process: worker.
Cost:    each different indicator of 30 days once (a scan of an index), and a pass over what the list added.
Fails:   Unavailable when a list cannot be read; the event is tried again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import batched

from beffroi_protocol.indicators import Indicator, Kind
from django.db import transaction

from beffroi.core.decisions import listed, queries
from beffroi.core.decisions.models import SCOPE_ALL
from beffroi.core.events import outbox
from beffroi.lib import clock
from beffroi.mail.models import MailDelivery, MailMessage, MailObservation

DAYS = 30
MOST_NAMED = 20
"""Values of a sum that are named: what it rests on, and can turn out to be wrong."""
MOST_VALUES = 500
"""Different listed values whose copies are counted: more of one list is no attack but a wrong list."""
_BATCH = 200


@dataclass
class _Sum:
    copies: set[tuple[str, str]] = field(default_factory=set)
    days: set[date] = field(default_factory=set)
    moments: list[datetime] = field(default_factory=list)
    values: set[str] = field(default_factory=set)


def look_back(payload: Mapping[str, object]) -> int:
    """Tell each collectivité's sum of copies; return of how many. Errors: Unavailable."""
    told = queries.grown(payload)
    if told is None:
        return 0
    kind = Kind(told.row.kind)
    observed = Kind.IP if kind is Kind.CIDR else kind
    since = clock.now() - timedelta(days=DAYS)
    recent = MailMessage.objects.filter(received_at__gte=since).values("id")
    rows = MailObservation.objects.filter(kind=observed.value, message_id__in=recent)
    values = rows.order_by().values_list("value", flat=True).distinct()
    found = listed.named(told.growth, kind, values.iterator(chunk_size=2000))
    passing = (one for one in sorted(found) if queries.never_blocked(Indicator(observed, one)) is None)
    wanted = [one for one, _ in zip(passing, range(MOST_VALUES), strict=False)]
    sums = _sums(observed, wanted, since)
    if told.row.scope != SCOPE_ALL:
        sums = {owner: one for owner, one in sums.items() if owner == told.row.scope}
    for owner, one in sums.items():
        with transaction.atomic():
            outbox.publish(
                "mail:listed",
                {
                    "list_id": told.row.id,
                    "kind": observed.value,
                    "values": sorted(one.values)[:MOST_NAMED],
                    "copies": len(one.copies),
                    "days": len(one.days),
                    "first_at": int(min(one.moments).timestamp()),
                    "last_at": int(max(one.moments).timestamp()),
                },
                collectivite_id=owner,
            )
    return len(sums)


def _sums(kind: Kind, values: Iterable[str], since: datetime) -> dict[str, _Sum]:
    sums: dict[str, _Sum] = {}
    for part in batched(values, _BATCH, strict=False):
        named: dict[str, list[str]] = {}
        observed = MailObservation.objects.filter(kind=kind.value, value__in=part)
        for message, value in observed.values_list("message_id", "value"):
            named.setdefault(message, []).append(value)
        messages = observed.values("message_id")
        copies = MailDelivery.objects.filter(message_id__in=messages, delivered_at__gte=since)
        for owner, message, mailbox, at in copies.values_list(
            "collectivite_id", "message_id", "mailbox_id", "delivered_at"
        ):
            one = sums.setdefault(owner, _Sum())
            one.copies.add((message, mailbox))
            one.values.update(named.get(message, ()))
            one.days.add(at.date())
            one.moments.append(at)
    return sums
