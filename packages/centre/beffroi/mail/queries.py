"""Read mailboxes, evidence and remediation on someone's behalf."""

from __future__ import annotations

import hashlib
import ipaddress
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from beffroi_protocol.indicators import Indicator, Kind
from django.db.models import Count, DateTimeField, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import TruncDate

from beffroi.core.decisions import queries as decisions
from beffroi.core.decisions import rules
from beffroi.core.decisions.models import Decision
from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import NotFound, existing
from beffroi.mail.models import (
    Mailbox,
    MailDelivery,
    MailMessage,
    MailObservation,
    MailRecipient,
    RemediationItem,
    RemediationJob,
)
from beffroi.mail.people.models import Member

REACH_ROWS = 5000


@dataclass(frozen=True)
class JobReport:
    """What a remediation did. ``collectivites``: copies moved, by collectivité id."""

    job_id: str
    decision_id: str
    direction: str
    state: str
    moved: int
    absent: int
    failed: int
    mailboxes: int
    collectivites: dict[str, int]


def own_mailboxes(actor: Actor) -> QuerySet[Mailbox]:
    """The mailboxes that a person may read, of the collectivité of the credential: their own first, then the
    functional ones whose member they are. No role reads another person's mail, not the referent's and not the
    Département's."""
    if actor.kind != "person" or actor.collectivite_id is None:
        return Mailbox.objects.none()
    return opened_by(actor.id, actor.collectivite_id).order_by(F("person_id").asc(nulls_last=True), "address")


def personal_mailboxes(actor: Actor) -> QuerySet[Mailbox]:
    """Those among ``own_mailboxes`` that an app password opens: a functional mailbox is read in the portal alone."""
    return own_mailboxes(actor).filter(person_id=actor.id)


def opened_by(person_id: str, collectivite_id: str) -> QuerySet[Mailbox]:
    """Open mailboxes that this person owns, or reads as a member, in this collectivité."""
    joined = Member.objects.filter(person_id=person_id, collectivite_id=collectivite_id, ended_at=None)
    return Mailbox.objects.filter(
        Q(person_id=person_id) | Q(person_id=None, pk__in=joined.values("mailbox_id")),
        collectivite_id=collectivite_id,
        closed_at=None,
    )


def access_mailbox(actor: Actor, mailbox_id: str) -> Mailbox:
    """A mailbox to read. Errors: NotFound, for absent and forbidden alike."""
    return existing(own_mailboxes(actor).filter(pk=mailbox_id).first(), "mailbox")


def visible_mailboxes(actor: Actor) -> QuerySet[Mailbox]:
    """Addresses that exist (not their content): all for the Département, else those of the collectivité."""
    return actor.visible(Mailbox.objects.filter(closed_at=None).order_by("address"))


def functional_mailboxes(actor: Actor, collectivite_id: str) -> QuerySet[Mailbox]:
    """Open mailboxes of a collectivité that are nobody's own: in their name a machine may send."""
    return visible_mailboxes(actor).filter(collectivite_id=collectivite_id, person_id=None)


def access_message(actor: Actor, mailbox: Mailbox, beffroi_id: str) -> MailMessage:
    """The evidence of a message that was delivered to this own mailbox. Errors: NotFound."""
    access_mailbox(actor, mailbox.id)
    return delivered_message(mailbox, beffroi_id)


def delivered_message(mailbox: Mailbox, beffroi_id: str) -> MailMessage:
    """The evidence of a message that was delivered there; the caller has checked the mailbox. Errors: NotFound."""
    delivered = MailDelivery.objects.filter(message_id=beffroi_id, mailbox_id=mailbox.id).exists()
    return existing(MailMessage.objects.filter(pk=beffroi_id).first() if delivered else None, "message")


def findings(message_id: str) -> list[str]:
    """For what the mail door holds it whatever the decisions say: codes of ``gate.attachments``."""
    message = MailMessage.objects.filter(pk=message_id).first()
    found = verdict_of(message).get("findings", []) if message is not None else []
    return [str(one) for one in found]


def in_codes(mailbox: Mailbox, beffroi_id: str) -> list[str]:
    """The web addresses in QR codes of a message of this mailbox; the caller has checked the mailbox. None where it was
    not delivered there: whoever puts a mail into their folder writes any identifier into it."""
    try:
        verdict = verdict_of(delivered_message(mailbox, beffroi_id))
    except NotFound:
        return []
    return [str(one) for one in verdict.get("qr_codes", [])]


def verdict_of(message: MailMessage) -> dict[str, Any]:
    value = json.loads(message.verdict or "{}")
    return value if isinstance(value, dict) else {}


def reported_indicators(beffroi_id: str) -> list[tuple[str, str]]:
    """What a report may speak about: links, link hosts, attachments, files in them, the sender and the text. Parents of
    a host are left out: evidence against one name is none against its domain."""
    rows = MailObservation.objects.filter(
        message_id=beffroi_id, role__in=("link", "attachment", "carried", "sender", "text")
    ).order_by("kind", "value")
    return [(row.kind, row.value) for row in rows]


def holds_file(actor: Actor, beffroi_id: str, data: bytes) -> bool:
    """Whether a decision names these bytes. When the entry hashed them otherwise (line ends of a text part), any
    decided file of the same mail holds them all, and so does one that is packed in any of its files: better one file
    too many than the wrong one."""
    own = hashlib.sha256(data).hexdigest()
    rows = MailObservation.objects.filter(message_id=beffroi_id, kind="sha256")
    recorded = {row.value: row.role for row in rows}
    carried = {value for value, role in recorded.items() if role == "carried"}
    asked = {own, *carried} if own in recorded else {own, *recorded}
    return decisions.active_decisions(actor).filter(kind="sha256", value__in=asked).exists()


def visible_jobs(actor: Actor) -> QuerySet[RemediationJob]:
    """All for the Département, else those that touched a mailbox of the collectivité; newest first."""
    rows = RemediationJob.objects.order_by("-created_at")
    if actor.sees_all:
        return rows
    touched = RemediationItem.objects.filter(collectivite_id=actor.collectivite_id or "").values("job_id")
    return rows.filter(pk__in=touched)


def report(job: RemediationJob) -> JobReport:
    return reports([job])[0]


def reports(jobs: Sequence[RemediationJob]) -> list[JobReport]:
    """The reports of these jobs in their order, by one query however many they are."""
    items = RemediationItem.objects.filter(job__in=jobs)
    rows: dict[str, list[tuple[str, str, str]]] = {job.id: [] for job in jobs}
    for job_id, state, mailbox_id, owner in items.values_list(
        "job_id", "state", "mailbox_id", "collectivite_id"
    ):
        rows[job_id].append((state, mailbox_id, owner))
    return [_report(job, rows[job.id]) for job in jobs]


def _report(job: RemediationJob, rows: list[tuple[str, str, str]]) -> JobReport:
    states = RemediationItem.State
    collectivites: dict[str, int] = {}
    for state, _, owner in rows:
        if state == states.MOVED:
            collectivites[owner] = collectivites.get(owner, 0) + 1
    return JobReport(
        job.id,
        job.decision_id,
        job.direction,
        job.state,
        sum(1 for s, _, _ in rows if s == states.MOVED),
        sum(1 for s, _, _ in rows if s == states.ABSENT),
        sum(1 for s, _, _ in rows if s == states.FAILED),
        len({m for s, m, _ in rows if s == states.MOVED}),
        collectivites,
    )


@dataclass(frozen=True)
class WaitingWithdrawal:
    """A withdrawal that waits for a second person. ``communes``: how many collectivités its copies lie in."""

    job: RemediationJob
    copies: int
    mailboxes: int
    communes: int


def waiting_withdrawals(actor: Actor) -> list[WaitingWithdrawal]:
    """Oldest first; the Département's business alone: nobody else sees any."""
    if not actor.sees_all:
        return []
    rows = RemediationJob.objects.filter(state=RemediationJob.State.WAITING).order_by("created_at")
    counted = rows.annotate(
        copies=Count("items"),
        mailboxes=Count("items__mailbox_id", distinct=True),
        communes=Count("items__collectivite_id", distinct=True),
    )
    return [WaitingWithdrawal(job, job.copies, job.mailboxes, job.communes) for job in counted]


def access_waiting(actor: Actor, job_id: str) -> WaitingWithdrawal:
    """Errors: NotFound, for absent, forbidden and answered alike."""
    return existing(
        next((one for one in waiting_withdrawals(actor) if one.job.id == job_id), None), "withdrawal"
    )


@dataclass
class Stopped:
    """Mails of one day: refused at entry, set aside at entry, copies withdrawn later. One mail is one however many
    recipients it names in the collectivité; withdrawn copies are counted a mailbox each."""

    refused: int = 0
    set_aside: int = 0
    withdrawn: int = 0


_VERDICTS = {"refused": '"action":"reject"', "set_aside": '"action":"quarantine"'}


def stopped_by_day(
    actor: Actor, *, since: date, until: date | None = None
) -> dict[tuple[str, date], Stopped]:
    """By collectivité and day (UTC), the last of them ``until``. Three queries for any number of them."""
    found: dict[tuple[str, date], Stopped] = defaultdict(Stopped)
    start = datetime.combine(since, time(), UTC)
    end = datetime.max.replace(tzinfo=UTC)
    if until is not None:
        end = datetime.combine(until + timedelta(days=1), time(), UTC)
    owners = Mailbox.objects.filter(address=OuterRef("address")).values("collectivite_id")
    for field, part in _VERDICTS.items():
        came_then = MailMessage.objects.filter(received_at__gte=start, received_at__lt=end)
        judged = came_then.filter(verdict__contains=part)
        rows = MailRecipient.objects.filter(message_id__in=judged.values("id"))
        came = MailMessage.objects.filter(pk=OuterRef("message_id")).values("received_at")
        counted = rows.annotate(
            owner=Subquery(owners), day=TruncDate(Subquery(came, output_field=DateTimeField()), tzinfo=UTC)
        ).exclude(owner=None)
        counted = actor.visible(counted, "owner").order_by()
        for row in counted.values("owner", "day").annotate(n=Count("message_id", distinct=True)):
            setattr(found[row["owner"], row["day"]], field, row["n"])
    moved = RemediationItem.objects.filter(
        state=RemediationItem.State.MOVED, changed_at__gte=start, changed_at__lt=end
    )
    moved = moved.filter(job__direction=RemediationJob.Direction.WITHDRAW)
    copies = actor.visible(moved).annotate(day=TruncDate("changed_at", tzinfo=UTC))
    for one in copies.values("collectivite_id", "day").annotate(n=Count("id")).order_by():
        found[one["collectivite_id"], one["day"]].withdrawn = one["n"]
    return dict(found)


def withdrawn_campaigns(*, since: datetime) -> dict[str, set[str]]:
    """Campaigns whose copies were taken out of a collectivité's mailboxes, by collectivité; what was taken back, or was
    withdrawn until a person says so, is no attack. For rules of the centre."""
    found: dict[str, set[str]] = defaultdict(set)
    stood = Decision.objects.filter(state__in=(Decision.State.ACTIVE, Decision.State.EXPIRED))
    rows = RemediationItem.objects.filter(
        job__decision_id__in=stood.values("id"),
        state=RemediationItem.State.MOVED,
        changed_at__gte=since,
        job__direction=RemediationJob.Direction.WITHDRAW,
    ).exclude(job__campaign_id="")
    for owner, campaign in rows.values_list("collectivite_id", "job__campaign_id").distinct():
        found[owner].add(campaign)
    return dict(found)


def reached(actor: Actor, indicator: Indicator, *, since: datetime) -> set[str]:
    """Collectivités whose mail since then shows this indicator, or one in its range; for the Département only.

    Cost: at most ``REACH_ROWS`` observations, the latest, by index.
    """
    if not actor.sees_all:
        return set()
    rows = MailObservation.objects.filter(kind=indicator.kind.value, value=indicator.value)
    if indicator.kind is Kind.CIDR:
        network = ipaddress.ip_network(indicator.value)
        shared = rules.shared_text(network)
        rows = MailObservation.objects.filter(kind=Kind.IP.value, value__startswith=shared)
        found = rows.order_by("-id").values_list("message_id", "value")[:REACH_ROWS]
        ids = {one for one, value in found if ipaddress.ip_address(value) in network}
    else:
        ids = set(rows.order_by("-id").values_list("message_id", flat=True)[:REACH_ROWS])
    recent = MailMessage.objects.filter(pk__in=ids, received_at__gte=since).values("id")
    addresses = MailRecipient.objects.filter(message_id__in=recent).values("address")
    boxes = Mailbox.objects.filter(address__in=addresses)
    return set(boxes.values_list("collectivite_id", flat=True).distinct())


def sender_of(beffroi_id: str) -> str:
    """The address that a message left from, or came from; "" for one that is not on record."""
    found = MailMessage.objects.filter(pk=beffroi_id).values_list("sender", flat=True).first()
    return (found or "").lower()
