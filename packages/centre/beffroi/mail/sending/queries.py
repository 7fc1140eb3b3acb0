"""Read who sends too much and what waits. For the Département alone: a queue is of all communes at once."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db.models import F, QuerySet, Sum

from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.errors import existing
from beffroi.mail.aliases import queries as aliases
from beffroi.mail.aliases.models import Alias
from beffroi.mail.models import Mailbox
from beffroi.mail.naming import base_address
from beffroi.mail.sending import left, queue, reputation
from beffroi.mail.sending.models import AddressListing, ChosenPartner, PartnerTls, SendingAlarm
from beffroi.mail.sending.queue import Waiting

CLEAR_SHOWN = 20


@dataclass(frozen=True)
class Outgoing:
    """A mail that waits, and of which collectivité's mailbox or alias: "" for mail from elsewhere."""

    mail: Waiting
    collectivite_id: str


@dataclass(frozen=True)
class OutgoingQueue:
    """``total``: how many wait, ``rows``: the oldest of them; ``accounts``: (address, how many of the rows)."""

    total: int
    rows: tuple[Outgoing, ...]
    accounts: tuple[tuple[str, int], ...]


class Protected(NamedTuple):
    """Recipients served: ``proved`` (DANE or MTA-STS), ``encrypted`` without a proof of whom, ``clear``. ``partners``:
    (domain, recipients) of what left in clear, the most first."""

    proved: int
    encrypted: int
    clear: int
    partners: tuple[tuple[str, int], ...]


def alarms(actor: Actor) -> QuerySet[SendingAlarm]:
    """Open ones, first those whose person cannot write meanwhile; a commune's own for its people."""
    rows = SendingAlarm.objects.filter(closed_at=None)
    rows = rows.order_by(F("contained_at").desc(nulls_last=True), "-seen_at")
    return actor.visible(rows)


def access_alarm(actor: Actor, alarm_id: str) -> SendingAlarm:
    """Errors: NotFound, for absent and forbidden alike."""
    return existing(alarms(actor).filter(pk=alarm_id).first(), "account")


def held_mailboxes() -> set[str]:
    """Mailboxes whose app passwords rest. For the projections."""
    return set(_contained().values_list("mailbox_id", flat=True))


def held_alarms() -> dict[str, SendingAlarm]:
    """Why each of them rests: mailbox -> its open alarm."""
    return {one.mailbox_id: one for one in _contained()}


def _contained() -> QuerySet[SendingAlarm]:
    return SendingAlarm.objects.filter(closed_at=None).exclude(contained_at=None)


def held_accounts() -> set[str]:
    """Their addresses."""
    return set(Mailbox.objects.filter(pk__in=held_mailboxes()).values_list("address", flat=True))


def held_senders() -> set[str]:
    """What they may write as, aliases too."""
    held = list(Mailbox.objects.filter(pk__in=held_mailboxes()))
    return {one.address for one in held}.union(*(aliases.senders(one) for one in held))


def owners(addresses: Iterable[str]) -> dict[str, str]:
    """Address -> collectivité, of those that are open mailboxes or aliases in force; two queries for any number."""
    bare = {one: base_address(one) for one in addresses}
    wanted = set(bare.values())
    known = dict(
        Alias.objects.filter(address__in=wanted, ended_at=None).values_list("address", "collectivite_id")
    )
    boxes = Mailbox.objects.filter(address__in=wanted, closed_at=None)
    known |= dict(boxes.values_list("address", "collectivite_id"))
    return {one: known[found] for one, found in bare.items() if found in known}


def outgoing(actor: Actor, config: Config, **wanted: Collection[str]) -> OutgoingQueue:
    """What waits, oldest first; ``wanted``: of ``queue.read``. Errors: NotFound (not the Département),
    QueueUnavailable."""
    actor.require_sees_all("queue")
    found = queue.read(config, **wanted)
    known = owners(one.account for one in found.messages)
    counted: dict[str, int] = {}
    for one in found.messages:
        counted[one.account] = counted.get(one.account, 0) + 1
    accounts = sorted(counted.items(), key=lambda one: (-one[1], one[0]))
    rows = tuple(Outgoing(one, known.get(one.account, "")) for one in found.messages)
    return OutgoingQueue(found.total, rows, tuple(accounts))


def protected(actor: Actor, *, days: int) -> Protected:
    """How well what left within these days was protected. Errors: NotFound (not the Département)."""
    actor.require_sees_all("partners")
    rows = PartnerTls.objects.filter(day__gt=clock.now().date() - timedelta(days=days))
    totals = {one["how"]: one["n"] for one in rows.values("how").annotate(n=Sum("count"))}
    clear = rows.filter(how=left.CLEAR).values("domain").annotate(n=Sum("count")).order_by("-n", "domain")
    return Protected(
        totals.get(left.PROVED, 0),
        totals.get(left.ENCRYPTED, 0),
        totals.get(left.CLEAR, 0),
        tuple((one["domain"], one["n"]) for one in clear[:CLEAR_SHOWN]),
    )


def chosen_partners(actor: Actor) -> list[ChosenPartner]:
    """With whom mail passes encrypted or not at all. Errors: NotFound (not the Département)."""
    actor.require_sees_all("partners")
    return list(ChosenPartner.objects.order_by("domain"))


def listings(actor: Actor) -> list[AddressListing]:
    """What block lists say of our addresses, what is listed first. Errors: NotFound (not the Département)."""
    actor.require_sees_all("addresses")
    rows = AddressListing.objects.order_by("zone", "address")
    return sorted(rows, key=lambda one: one.state != reputation.LISTED)


def listed(actor: Actor) -> tuple[str, ...]:
    """Addresses that stand on a list; none for whoever is not the Département."""
    if not actor.sees_all:
        return ()
    rows = AddressListing.objects.filter(state=reputation.LISTED)
    return tuple(rows.values_list("address", flat=True).distinct().order_by("address"))


def fresh_listings(*, since: datetime) -> set[tuple[str, str]]:
    return set(AddressListing.objects.filter(checked_at__gt=since).values_list("address", "zone"))


def access_queued(actor: Actor, config: Config, queue_id: str) -> Outgoing:
    """Errors: NotFound, QueueUnavailable."""
    rows = outgoing(actor, config, ids=[queue_id]).rows
    return existing(next(iter(rows), None), "mail")
