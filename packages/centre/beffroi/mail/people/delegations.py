"""A mailbox is lent for a period: given, ended, what was done under it. Each action is one transaction: change, audit
row, event.

Who may: the owner; or, in their stead, a référent of the collectivité, who says why, lends nothing to themselves, and
         of whom the owner hears by mail and at the next visit. Nobody passes on what was lent to them. Functional
         mailboxes have members instead.
Ends:    by itself at ``ends_at``; at once by the owner, the référent, the delegate, or with the departure of either.
         Every request asks for the row again, so there is nothing to cut off.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Count, Q, QuerySet

from beffroi.core.audit import actions as audit
from beffroi.core.events import outbox
from beffroi.core.events.outbox import publish
from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Person
from beffroi.lib import clock
from beffroi.lib.clock import PLACE
from beffroi.lib.errors import Conflict, NotFound, existing
from beffroi.mail import queries as mail
from beffroi.mail.filters.errors import SettingRefused
from beffroi.mail.models import Mailbox
from beffroi.mail.people import queries
from beffroi.mail.people.models import DelegatedAct, Delegation

MAX_REASON_CHARS = 200
AHEAD_DAYS = 180
"""How long before its first day one may be given."""


@dataclass(frozen=True)
class Day:
    """What was done on one day: mails read and sent, each counted once."""

    day: date
    read: int
    sent: int


@transaction.atomic
def give(
    *,
    actor: Actor,
    mailbox: Mailbox,
    person_id: str,
    right: str,
    first: date,
    last: date,
    reason: str = "",
) -> Delegation:
    """Lend a mailbox from the first to the last day, both whole. Without effect on the mailbox itself.

    Errors: NotFound; SettingRefused (person, right, first, last, reason); Conflict (this colleague has it then).
    """
    owner_id = _owner(actor, mailbox)
    said = " ".join(reason.split())
    if actor.id != owner_id and not said:
        raise SettingRefused("reason", "empty")
    if len(said) > MAX_REASON_CHARS or not all(sign.isprintable() for sign in said):
        raise SettingRefused("reason", "long")
    if person_id not in {one.id for one in candidates(actor, mailbox)}:
        raise SettingRefused("person", "unknown")
    if right not in Delegation.Right.values:
        raise SettingRefused("right", "unknown")
    begins_at, ends_at = _period(first, last)
    outbox.serialise()
    # The row of the mailbox, so that two at once do not both find no other.
    Mailbox.objects.select_for_update().get(pk=mailbox.pk)
    present = open_rows().filter(mailbox_id=mailbox.id, person_id=person_id)
    if present.filter(begins_at__lt=ends_at, ends_at__gt=begins_at).exists():
        raise Conflict("this colleague has the mailbox at that time")
    row = Delegation.objects.create(
        mailbox_id=mailbox.id,
        collectivite_id=mailbox.collectivite_id,
        owner_id=owner_id,
        person_id=person_id,
        right=right,
        begins_at=begins_at,
        ends_at=ends_at,
        by=actor.id,
        reason=said,
        seen_at=clock.now() if actor.id == owner_id else None,
    )
    _record(actor, "mail:delegation:given", row, right=right, first=first.isoformat(), last=last.isoformat())
    publish("mail:delegation_given", {"delegation_id": row.id}, collectivite_id=row.collectivite_id)
    return row


def _owner(actor: Actor, mailbox: Mailbox) -> str:
    """Errors: NotFound, for absent and forbidden alike; also for a functional mailbox."""
    row = Mailbox.objects.filter(pk=mailbox.pk, closed_at=None).first()
    if (
        row is None
        or row.person_id is None
        or actor.kind != "person"
        or not actor.may_see(row.collectivite_id)
    ):
        raise NotFound("mailbox")
    if actor.id != row.person_id and actor.role != "referent":
        raise NotFound("mailbox")
    return row.person_id


def _period(first: date, last: date) -> tuple[datetime, datetime]:
    """Errors: SettingRefused."""
    today = clock.now().astimezone(PLACE).date()
    if first > today + timedelta(days=AHEAD_DAYS):
        raise SettingRefused("first", "far")
    if last < first or last < today:
        raise SettingRefused("last", "past")
    if (last - max(first, today)).days >= settings.BEFFROI.delegation_days:
        raise SettingRefused("last", "long")
    begins_at = datetime.combine(max(first, today), time(), PLACE)
    return begins_at, datetime.combine(last + timedelta(days=1), time(), PLACE)


@transaction.atomic
def end(*, actor: Actor, delegation: Delegation) -> bool:
    """From now on the colleague is out. False when it was over. Errors: NotFound."""
    row = access_delegation(actor, delegation.id)
    return _end(actor, row)


def _end(actor: Actor, row: Delegation) -> bool:
    outbox.serialise()
    now = clock.now()
    rows = Delegation.objects.filter(pk=row.pk, ended_at=None, ends_at__gt=now)
    if not rows.update(ended_at=now, ended_by=actor.id):
        return False
    _record(actor, "mail:delegation:ended", row)
    publish("mail:delegation_ended", {"delegation_id": row.id}, collectivite_id=row.collectivite_id)
    return True


@transaction.atomic
def end_all_of(*, actor: Actor, person_id: str, collectivite_id: str) -> list[str]:
    """Return which ended."""
    return [one.id for one in open_of(person_id, collectivite_id) if _end(actor, one)]


def open_of(person_id: str, collectivite_id: str) -> QuerySet[Delegation]:
    """What this person lent, and what was lent to them."""
    return open_rows().filter(Q(owner_id=person_id) | Q(person_id=person_id), collectivite_id=collectivite_id)


@transaction.atomic
def give_back(*, actor: Actor, ids: Collection[str]) -> None:
    """Those that a departure ended, when it is undone: not what is over by now, whose other side has left or does not
    own the mailbox any more, or beside which a later one stands."""
    outbox.serialise()
    rows = Delegation.objects.filter(pk__in=ids, ends_at__gt=clock.now()).exclude(ended_at=None)
    for row in rows:
        mailbox = Mailbox.objects.select_for_update().filter(
            pk=row.mailbox_id, person_id=row.owner_id, closed_at=None
        )
        present = open_rows().filter(mailbox_id=row.mailbox_id, person_id=row.person_id)
        later = present.filter(begins_at__lt=row.ends_at, ends_at__gt=row.begins_at)
        here = all(identity.belongs(one, row.collectivite_id) for one in (row.owner_id, row.person_id))
        if not mailbox or later or not here:
            continue
        Delegation.objects.filter(pk=row.pk).update(ended_at=None, ended_by="")
        _record(actor, "mail:delegation:given_back", row)


@transaction.atomic
def note(*, actor: Actor, delegation: Delegation, what: str, message_key: str) -> None:
    """A delegate read a mail, or sent one: once a day each in the owner's list and in the audit log."""
    try:
        with transaction.atomic():
            DelegatedAct.objects.create(
                delegation_id=delegation.id,
                collectivite_id=delegation.collectivite_id,
                day=clock.now().astimezone(PLACE).date(),
                what=what,
                message_key=message_key,
            )
    except IntegrityError:
        return
    _record(actor, f"mail:delegation:{what}", delegation, message=message_key)


def mark_seen(*, actor: Actor) -> None:
    """An owner had what others gave before their eyes."""
    ids = [one.id for one in unseen(actor)]
    Delegation.objects.filter(pk__in=ids, seen_at=None).update(seen_at=clock.now())


def open_rows() -> QuerySet[Delegation]:
    """Those that are in force or will be."""
    return Delegation.objects.filter(ended_at=None, ends_at__gt=clock.now())


def in_force() -> QuerySet[Delegation]:
    return open_rows().filter(begins_at__lte=clock.now())


def find(person_id: str, collectivite_id: str, mailbox_id: str) -> tuple[Mailbox, Delegation] | None:
    """The mailbox that is lent to this person at this moment, as it stands now: open, and still its owner's."""
    rows = in_force().filter(person_id=person_id, collectivite_id=collectivite_id, mailbox_id=mailbox_id)
    # Two that touch each other at midnight never overlap; the wider right would be the later one anyway.
    row = rows.order_by("-created_at").first()
    if row is None:
        return None
    mailbox = Mailbox.objects.filter(
        pk=mailbox_id, person_id=row.owner_id, collectivite_id=collectivite_id, closed_at=None
    ).first()
    return (mailbox, row) if mailbox is not None and row.owner_id != person_id else None


def lent_to(actor: Actor) -> list[Mailbox]:
    """The mailboxes of colleagues that are lent to this person now, by address."""
    if actor.kind != "person" or actor.collectivite_id is None:
        return []
    rows = in_force().filter(person_id=actor.id, collectivite_id=actor.collectivite_id)
    found = (
        find(actor.id, actor.collectivite_id, one) for one in set(rows.values_list("mailbox_id", flat=True))
    )
    return sorted((pair[0] for pair in found if pair), key=lambda one: one.address)


def candidates(actor: Actor, mailbox: Mailbox) -> list[Person]:
    """Colleagues to whom it may be lent: not its owner, and not a référent who gives it."""
    out = {mailbox.person_id, actor.id}
    return [one for one in queries.people(actor, mailbox.collectivite_id) if one.id not in out]


def lendable(actor: Actor) -> list[Mailbox]:
    """One's own mailboxes; for a référent then those of colleagues, to lend while their owner cannot."""
    own = list(mail.personal_mailboxes(actor))
    if actor.leads is None:
        return own
    rows = Mailbox.objects.filter(collectivite_id=actor.leads, closed_at=None)
    return [*own, *rows.exclude(person_id=None).exclude(person_id=actor.id).order_by("address")]


def visible(actor: Actor) -> QuerySet[Delegation]:
    """Newest first: those of one's own mailboxes and those given to oneself; all of the collectivité for its référent.
    None for the Département."""
    if actor.kind != "person" or actor.collectivite_id is None:
        return Delegation.objects.none()
    rows = Delegation.objects.filter(collectivite_id=actor.collectivite_id).order_by("-created_at", "-id")
    return rows if actor.role == "referent" else rows.filter(Q(owner_id=actor.id) | Q(person_id=actor.id))


def access_delegation(actor: Actor, delegation_id: str) -> Delegation:
    """Errors: NotFound, for absent and forbidden alike."""
    return existing(visible(actor).filter(pk=delegation_id).first(), "delegation")


def unseen(actor: Actor) -> list[Delegation]:
    """Given by somebody else, and not yet before the owner's eyes; also when they are over."""
    if actor.kind != "person" or actor.collectivite_id is None:
        return []
    rows = Delegation.objects.filter(owner_id=actor.id, collectivite_id=actor.collectivite_id, seen_at=None)
    return list(rows.order_by("created_at"))


def days(rows: Iterable[Delegation]) -> dict[str, list[Day]]:
    """What was done, by delegation, the latest day first; one query for any number."""
    acts = DelegatedAct.objects.filter(delegation_id__in=[one.id for one in rows])
    counted = acts.values("delegation_id", "day", "what").annotate(n=Count("pk")).order_by()
    found: dict[str, dict[date, dict[str, int]]] = {}
    for one in counted:
        found.setdefault(one["delegation_id"], {}).setdefault(one["day"], {})[one["what"]] = one["n"]
    return {
        key: [
            Day(day, of_day.get("read", 0), of_day.get("sent", 0)) for day, of_day in sorted(several.items())
        ][::-1]
        for key, several in found.items()
    }


def _record(actor: Actor, verb: str, row: Delegation, **details: str) -> None:
    audit.record_of(actor, verb, row, {"mailbox_id": row.mailbox_id, "person_id": row.person_id, **details})
