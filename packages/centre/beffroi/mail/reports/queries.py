"""Read who sends in a domain's name, on someone's behalf. Only authentic reports count; the others are told apart."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from django.db.models import Count, Max, Min, Q, QuerySet, Sum, Value
from django.db.models.functions import Coalesce, TruncWeek

from beffroi.core.communes import queries as communes
from beffroi.core.communes.models import Domain
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.mail.domains import queries as domains
from beffroi.mail.gate.facts import hash_of_message_id
from beffroi.mail.models import Mailbox, MailMessage
from beffroi.mail.reports import operators, rules
from beffroi.mail.reports.models import Complaint, DmarcReport, DmarcRow, ReportRefusal, SourceWord, TlsReport
from beffroi.mail.reports.rules import Advice, Source

SHOWN_DAYS = 56
"""Eight weeks, as the page shows them."""
_ALIGNED = Q(dkim=True) | Q(spf=True)
_PROVED = ~Q(dkim_domain="") | ~Q(spf_domain="")


@dataclass(frozen=True)
class Shown:
    """A source with what a page says of it. ``weeks``: (Monday, messages), the latest first; ``alarm_at``: since when
    it alarms and nobody said anything."""

    source: Source
    first_at: datetime
    last_at: datetime
    addresses: tuple[str, ...]
    weeks: tuple[tuple[date, int], ...] = ()
    alarm_at: datetime | None = None


@dataclass(frozen=True)
class Reporter:
    """``n``: how many reports; ``last``: the end of the latest."""

    reporter: str
    authentic: bool
    n: int
    last: datetime


@dataclass
class TlsPartner:
    """What one reporter met when it delivered to us. ``failures``: kind -> messages."""

    reporter: str
    good: int = 0
    failed: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    last_at: datetime | None = None


@dataclass
class Complained:
    """A mailbox of which recipients complained. ``mails``: of how many different mails; ``unproved``: complaints of
    whom nobody knows the sender, which count nowhere else."""

    mailbox: Mailbox
    commune: str
    complaints: int = 0
    mails: int = 0
    unproved: int = 0
    reporters: tuple[str, ...] = ()
    last_at: datetime | None = None


def sender_of(message_id: str) -> Mailbox | None:
    """The mailbox that a mail left from, signed in. None when that is not on record, or not of one mailbox alone."""
    rows = MailMessage.objects.filter(message_id_hash=hash_of_message_id(message_id))
    sent = rows.filter(verdict__contains='"signed_in":true').values_list("sender", flat=True)
    found = list(Mailbox.objects.filter(address__in={one.lower() for one in sent})[:2])
    return found[0] if len(found) == 1 else None


def recent_complaints(mailbox_id: str, *, days: int) -> int:
    since = clock.now() - timedelta(days=days)
    return Complaint.objects.filter(mailbox_id=mailbox_id, authentic=True, received_at__gt=since).count()


def complaints(actor: Actor, *, days: int) -> list[Complained]:
    """Whose mails recipients complained of, the most complaints first. Errors: NotFound (not the Département)."""
    actor.require_sees_all("complaints")
    rows = Complaint.objects.filter(received_at__gt=clock.now() - timedelta(days=days))
    counted = rows.values("mailbox_id").annotate(
        proved=Count("pk", filter=Q(authentic=True)),
        unproved=Count("pk", filter=Q(authentic=False)),
        mails=Count("mail_hash", filter=Q(authentic=True), distinct=True),
        last=Max("received_at"),
    )
    mailboxes = Mailbox.objects.in_bulk([one["mailbox_id"] for one in counted])
    names = communes.visible_names(actor)
    told: dict[str, dict[str, None]] = {}
    proved = rows.filter(authentic=True).values_list("mailbox_id", "reporter").annotate(n=Count("pk"))
    for mailbox_id, reporter, _ in proved.order_by("-n", "reporter"):
        told.setdefault(mailbox_id, {})[reporter] = None
    found = [
        Complained(
            mailbox=mailboxes[one["mailbox_id"]],
            commune=names.get(mailboxes[one["mailbox_id"]].collectivite_id, ""),
            complaints=one["proved"],
            mails=one["mails"],
            unproved=one["unproved"],
            reporters=tuple(told.get(one["mailbox_id"], {}))[:3],
            last_at=one["last"],
        )
        for one in counted
        if one["mailbox_id"] in mailboxes
    ]
    return sorted(found, key=lambda one: (-one.complaints, one.mailbox.address))


def authentic_rows(domain_id: str) -> QuerySet[DmarcRow]:
    return DmarcRow.objects.filter(domain_id=domain_id, report__authentic=True)


def _sum(condition: Q) -> Coalesce:
    return Coalesce(Sum("messages", filter=condition), Value(0))


def _recent(domain_id: str, days: int, only: Collection[str] | None) -> QuerySet[DmarcRow]:
    since = clock.now() - timedelta(days=days)
    rows = authentic_rows(domain_id).filter(report__end_at__gte=since)
    return rows if only is None else rows.filter(operator__in=only)


def sources(domain_id: str, *, days: int, only: Collection[str] | None = None) -> list[Source]:
    """Each operator of the last days, the largest first."""
    words = dict(SourceWord.objects.filter(domain_id=domain_id).values_list("operator", "word"))
    counted = (
        _recent(domain_id, days, only)
        .values("operator")
        .annotate(
            n=Sum("messages"),
            aligned=_sum(_ALIGNED),
            proved=_sum(~_ALIGNED & _PROVED),
            excused=_sum(~_ALIGNED & Q(reason__in=rules.FORWARDED)),
            refused=_sum(~Q(disposition="none")),
        )
        .order_by("-n", "operator")
    )
    return [
        Source(
            operator=one["operator"],
            ours=one["operator"] == operators.OURS,
            messages=one["n"],
            aligned=one["aligned"],
            proved=one["proved"],
            excused=one["excused"],
            refused=one["refused"],
            word=words.get(one["operator"], ""),
        )
        for one in counted
    ]


def shown(domain: Domain) -> list[Shown]:
    """The sources of the last eight weeks, for a page."""
    rows = _recent(domain.id, SHOWN_DAYS, None)
    spans = {
        one["operator"]: one
        for one in rows.values("operator").annotate(first=Min("report__begin_at"), last=Max("report__end_at"))
    }
    weeks: dict[str, list[tuple[date, int]]] = {}
    for one in (
        rows.annotate(week=TruncWeek("report__begin_at"))
        .values("operator", "week")
        .annotate(n=Sum("messages"))
        .order_by("-week")
    ):
        weeks.setdefault(one["operator"], []).append((one["week"].date(), one["n"]))
    seen: dict[str, list[str]] = {}
    for row in rows.values("operator", "address").annotate(n=Sum("messages")).order_by("-n"):
        seen.setdefault(row["operator"], []).append(row["address"])
    open_ = dict(SourceWord.objects.filter(domain_id=domain.id, word="").values_list("operator", "alarm_at"))
    return [
        Shown(
            source,
            spans[source.operator]["first"],
            spans[source.operator]["last"],
            tuple(seen[source.operator]),
            tuple(weeks[source.operator]),
            open_.get(source.operator),
        )
        for source in sources(domain.id, days=SHOWN_DAYS)
    ]


def advice(domain: Domain) -> Advice:
    """Whether reports of the last days allow a stricter policy than the chosen one. Only reports count that met the
    policy which was chosen, or a stricter one: what is not in DNS yet was not tried."""
    policy = domains.choices(domain.id).dmarc
    since = clock.now() - timedelta(days=rules.CLEAN_DAYS)
    reports = DmarcReport.objects.filter(domain_id=domain.id, authentic=True, end_at__gte=since)
    met = [policy, *([rules.NEXT[policy]] if policy in rules.NEXT else [])]
    days = {one.date() for one in reports.filter(policy__in=met).values_list("begin_at", flat=True)}
    return rules.advice(policy, sources(domain.id, days=rules.CLEAN_DAYS), days)


def reporters(domain: Domain) -> list[Reporter]:
    """Who reported in the last eight weeks, proved or not."""
    since = clock.now() - timedelta(days=SHOWN_DAYS)
    counted = (
        DmarcReport.objects.filter(domain_id=domain.id, end_at__gte=since)
        .values("reporter", "authentic")
        .annotate(n=Count("pk"), last=Max("end_at"))
        .order_by("-authentic", "-n", "reporter")
    )
    return [Reporter(one["reporter"], one["authentic"], one["n"], one["last"]) for one in counted]


def tls_partners(domain: Domain) -> list[TlsPartner]:
    """Encrypted delivery to us as each authentic reporter met it in the last eight weeks, failures first."""
    since = clock.now() - timedelta(days=SHOWN_DAYS)
    found: dict[str, TlsPartner] = {}
    for one in TlsReport.objects.filter(domain_id=domain.id, authentic=True, end_at__gte=since):
        partner = found.setdefault(one.reporter, TlsPartner(one.reporter))
        partner.good += one.good
        partner.failed += one.failed
        partner.last_at = max(one.end_at, partner.last_at or one.end_at)
        for kind, messages, _mx in one.failures:
            partner.failures[kind] = partner.failures.get(kind, 0) + messages
    return sorted(found.values(), key=lambda one: (-one.failed, one.reporter))


def alarms(actor: Actor) -> QuerySet[SourceWord]:
    """Sudden sources that nobody has said anything about."""
    owned = communes.visible_domains(actor).values("id")
    return SourceWord.objects.filter(domain_id__in=owned, word="").exclude(alarm_at=None)


def refusals(actor: Actor) -> list[tuple[str, int]]:
    """(code, how many) of the week's mails that gave no report. For the Département: they are of no commune."""
    if not actor.sees_all:
        return []
    since = clock.now().date() - timedelta(days=7)
    rows = ReportRefusal.objects.filter(day__gt=since).values("code").annotate(n=Sum("count"))
    return [(one["code"], one["n"]) for one in rows.order_by("-n")]
