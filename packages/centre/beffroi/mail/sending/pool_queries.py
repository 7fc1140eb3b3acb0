"""Read by which addresses mail leaves, how far warm-ups are and who is doubted. For the Département alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db.models import Count, Max, QuerySet, Sum

from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.errors import existing
from beffroi.mail.engines import pools
from beffroi.mail.engines.pools import Exit, Pool
from beffroi.mail.models import Mailbox, MailMessage, MailRecipient
from beffroi.mail.reports.models import Complaint
from beffroi.mail.sending import doubt, reputation, warming
from beffroi.mail.sending.models import (
    AddressName,
    AnsweredSlot,
    Doubted,
    LaneDay,
    RefusedDay,
    SendingAlarm,
    Warming,
)
from beffroi.mail.sending.warming import Answered

_LIMITS = ("hour_messages", "day_messages", "hour_recipients", "day_recipients")
_SIGNED_IN = '"signed_in":true'


@dataclass(frozen=True)
class Way:
    """One exit as a page shows it. ``answered``: provider -> what it answered today (UTC), ``week``: all providers
    within seven days; ``warming``: its warm-up, where it has one."""

    exit: Exit
    names: tuple[AddressName, ...]
    answered: Mapping[str, Answered]
    week: Answered
    warming: Warming | None

    @property
    def share(self) -> int:
        """Recipients a day and provider; ``UNLIMITED`` when it is over."""
        return warming.share(self.warming.step) if self.warming else 0


def ways(actor: Actor, config: Config) -> list[Way]:
    """Every exit, the first one first. Errors: NotFound (not the Département)."""
    actor.require_sees_all("addresses")
    today, names = clock.now().date(), AddressName.objects.in_bulk()
    begun = Warming.objects.in_bulk()
    return [
        Way(
            one,
            tuple(names[address] for address in one.addresses if address in names),
            answered(one.name, since=today),
            _all(answered(one.name, since=today - timedelta(days=6))),
            begun.get(one.name),
        )
        for one in pools.exits(config)
    ]


def answered(exit_: str, *, since: date) -> dict[str, Answered]:
    """Provider -> what it answered this exit from this day on."""
    rows = LaneDay.objects.filter(exit=exit_, day__gte=since).values("provider")
    return {
        one["provider"]: Answered(one["n"], one["no"])
        for one in rows.annotate(n=Sum("sent"), no=Sum("refused"))
    }


def _all(found: Mapping[str, Answered]) -> Answered:
    return Answered(sum(one.sent for one in found.values()), sum(one.refused for one in found.values()))


def access_warming(actor: Actor, exit_: str) -> Warming:
    """Errors: NotFound, for absent and forbidden alike."""
    return existing(actor.departement(Warming.objects.filter(pk=exit_)).first(), "exit")


def access_doubted(actor: Actor, mailbox_id: str) -> Doubted:
    """Errors: NotFound, for absent and forbidden alike."""
    return existing(actor.departement(Doubted.objects.filter(pk=mailbox_id)).first(), "account")


def refused_warmings(actor: Actor) -> int:
    """How many warm-ups refusals have paused; 0 for whoever is not the Département."""
    if not actor.sees_all:
        return 0
    return Warming.objects.filter(paused_by="").exclude(paused_at=None).count()


def doubted(actor: Actor) -> list[Doubted]:
    """Who leaves by the address of doubtful senders, and who is spared. Errors: NotFound (not the Département)."""
    actor.require_sees_all("accounts")
    shown = Doubted.objects.filter(ended_at=None) | Doubted.objects.filter(spared_until__gt=clock.now())
    return list(shown.order_by("-since_at"))


def fresh_names(*, since: datetime) -> set[tuple[str, str]]:
    """(address, HELO name) that DNS was asked about since then, and answered."""
    rows = AddressName.objects.filter(checked_at__gt=since).exclude(state=reputation.UNANSWERED)
    return set(rows.values_list("address", "helo"))


def doubted_accounts() -> set[str]:
    """Their addresses. For the projection."""
    ids = Doubted.objects.filter(ended_at=None).values("mailbox_id")
    return set(Mailbox.objects.filter(pk__in=ids).values_list("address", flat=True))


def doubtful(config: Config) -> dict[str, tuple[str, str]]:
    """mailbox -> (collectivité, reasons), as the facts are now; nobody without an exit for them."""
    if not config.outgoing_mail or not any(one.pool is Pool.DOUBTFUL for one in pools.exits(config)):
        return {}
    now = clock.now()
    since = now - timedelta(days=doubt.DAYS)
    alarms = SendingAlarm.objects
    contained = _ids(alarms.filter(closed_at__gt=since) | alarms.filter(closed_at=None), contained=True)
    over = _ids(alarms.filter(closed_at=None, limit__in=_LIMITS, seen_at__gt=since), contained=False)
    complaints = Complaint.objects.filter(authentic=True, received_at__gt=since).values("mailbox_id")
    complained = {one["mailbox_id"]: one["n"] for one in complaints.annotate(n=Count("pk"))}
    days = RefusedDay.objects.filter(day__gt=since.date()).values("mailbox_id")
    refused = {one["mailbox_id"]: one["n"] for one in days.annotate(n=Sum("count"))}
    boxes = Mailbox.objects.filter(closed_at=None)
    day, young = now - timedelta(days=1), boxes.filter(created_at__gt=now - timedelta(days=doubt.NEW_DAYS))
    sent = _sent(day).filter(sender__in=young.values("address"))
    new = set(young.filter(address__in=sent.values("sender")).values_list("pk", flat=True))
    asked = contained | over | complained.keys() | {k for k, n in refused.items() if n >= doubt.REFUSED} | new
    found = {}
    for box in boxes.filter(pk__in=asked):
        seen = doubt.Seen(
            contained=box.id in contained,
            over=box.id in over,
            complaints=complained.get(box.id, 0),
            age_days=(now - box.created_at).days,
            day_recipients=_recipients(box.address, day) if box.id in new else 0,
            refused=refused.get(box.id, 0),
            recipients=_recipients(box.address, since) if box.id in refused else 0,
        )
        if reasons := doubt.reasons(seen):
            found[box.id] = (box.collectivite_id, " ".join(reasons))
    return found


def answered_for(mailbox: Mailbox, *, since: datetime) -> tuple[int, int]:
    """Recipients of this mailbox that their servers did not know, and all that were taken or refused for good. What
    was counted before the account was given back counts no more."""
    closed = SendingAlarm.objects.filter(mailbox_id=mailbox.id).aggregate(at=Max("closed_at"))["at"]
    sums = AnsweredSlot.objects.filter(mailbox_id=mailbox.id, at__gt=max(closed, since) if closed else since)
    found = sums.aggregate(unknown=Sum("unknown"), answered=Sum("answered"))
    return found["unknown"] or 0, found["answered"] or 0


def is_spared(mailbox: Mailbox, *, now: datetime) -> bool:
    """Whether an administrator said that what this mailbox sends is well."""
    return Doubted.objects.filter(pk=mailbox.id, spared_until__gt=now).exists()


def _ids(rows: Iterable[SendingAlarm], *, contained: bool) -> set[str]:
    return {one.mailbox_id for one in rows if (one.contained_at is not None) is contained}


def _sent(since: datetime) -> QuerySet[MailMessage]:
    return MailMessage.objects.filter(received_at__gt=since, verdict__contains=_SIGNED_IN)


def _recipients(address: str, since: datetime) -> int:
    return MailRecipient.objects.filter(
        message_id__in=_sent(since).filter(sender=address).values("pk")
    ).count()
