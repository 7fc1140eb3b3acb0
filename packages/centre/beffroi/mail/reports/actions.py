"""The only writes of reports: what was read of them, what a person says of a source, a stricter policy.

Every action is one transaction: change, audit row, outbox event.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from django.db import transaction
from django.db.models import F

from beffroi.core.audit import actions as audit
from beffroi.core.communes.models import Domain
from beffroi.core.events.outbox import publish
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, Invalid, NotAllowed
from beffroi.mail.domains import actions as domains
from beffroi.mail.domains import queries as domain_queries
from beffroi.mail.domains.models import MailDomain
from beffroi.mail.gate.facts import hash_of_message_id
from beffroi.mail.models import Mailbox
from beffroi.mail.reports import operators, queries, rules, values
from beffroi.mail.reports.models import (
    Complaint,
    DmarcReport,
    DmarcRow,
    ReportRefusal,
    SourceWord,
    TlsReport,
)
from beffroi.mail.reports.values import Dmarc, Tls
from beffroi.mail.sending import actions as sending

SYSTEM = Actor.system("mail-reports")


@transaction.atomic
def take_dmarc(
    found: Dmarc,
    *,
    domain: Domain,
    reporter: str,
    authentic: bool,
    names: Mapping[tuple[str, str, str], str],
) -> DmarcReport | None:
    """Keep a report; None for one that was there. ``names``: see ``operators.operators``."""
    row, made = DmarcReport.objects.get_or_create(
        once=_once("dmarc", reporter, authentic, found.org, found.report_id, domain.id, found.domain),
        defaults={
            "domain_id": domain.id,
            "collectivite_id": domain.collectivite_id,
            "org": found.org,
            "reporter": reporter,
            "authentic": authentic,
            "policy": found.policy,
            "begin_at": _moment(found.begin_s),
            "end_at": _moment(found.end_s),
        },
    )
    if not made:
        return None
    DmarcRow.objects.bulk_create(
        (
            DmarcRow(
                report=row,
                domain_id=domain.id,
                collectivite_id=domain.collectivite_id,
                address=one.address,
                operator=names[one.address, one.dkim_domain, one.spf_domain][:253],
                messages=one.messages,
                dkim=one.dkim,
                spf=one.spf,
                disposition=one.disposition,
                dkim_domain=one.dkim_domain,
                spf_domain=one.spf_domain,
                reason=one.reason,
            )
            for one in found.rows
        ),
        batch_size=500,
    )
    if authentic:
        _alarm(domain, {one for one in names.values() if one != operators.OURS})
    return row


def _alarm(domain: Domain, named: set[str]) -> None:
    """Raise an alarm for each of these operators that is new and sends much that does not pass."""
    since = clock.now() - timedelta(days=rules.SUDDEN_DAYS)
    if not queries.authentic_rows(domain.id).filter(report__end_at__lt=since).exists():
        return  # of a domain's first week everything is new; the page asks about each source
    before = queries.authentic_rows(domain.id).filter(report__end_at__lt=since, operator__in=named)
    known = set(before.values_list("operator", flat=True))
    for source in queries.sources(domain.id, days=rules.SUDDEN_DAYS, only=named):
        if not rules.sudden(source, known_before=source.operator in known):
            continue
        word, _ = SourceWord.objects.get_or_create(
            domain_id=domain.id,
            operator=source.operator,
            defaults={"collectivite_id": domain.collectivite_id},
        )
        if SourceWord.objects.filter(pk=word.pk, alarm_at=None).update(alarm_at=clock.now()):
            found: dict[str, str | int] = {"operator": source.operator, "messages": source.unaligned}
            audit.record_of(SYSTEM, "mail:source:sudden", domain, found)
            publish(
                "mail:source_sudden",
                {"domain_id": domain.id, "operator": source.operator},
                collectivite_id=domain.collectivite_id,
            )


@transaction.atomic
def take_tls(found: Tls, *, domain: Domain, reporter: str, authentic: bool) -> TlsReport | None:
    """Keep one domain of a TLS report; None for one that was there."""
    key = _once("tls", reporter, authentic, found.org, found.report_id, domain.id, found.policy, found.domain)
    row, made = TlsReport.objects.get_or_create(
        once=key,
        defaults={
            "domain_id": domain.id,
            "collectivite_id": domain.collectivite_id,
            "org": found.org,
            "reporter": reporter,
            "authentic": authentic,
            "policy": found.policy,
            "good": found.good,
            "failed": found.failed,
            "failures": [[one.kind, one.messages, one.mx] for one in found.failures],
            "begin_at": _moment(found.begin_s),
            "end_at": _moment(found.end_s),
        },
    )
    return row if made else None


@transaction.atomic
def take_complaint(
    found: values.Complaint, *, mailbox: Mailbox, reporter: str, authentic: bool
) -> Complaint | None:
    """Keep a complaint about a mail of this mailbox; None for one that was there. Many of them alarm."""
    mail_hash = hash_of_message_id(found.about)
    row, made = Complaint.objects.get_or_create(
        once=_once("complaint", reporter, authentic, mail_hash, found.report_id or found.kind),
        defaults={
            "collectivite_id": mailbox.collectivite_id,
            "mailbox_id": mailbox.id,
            "mail_hash": mail_hash,
            "kind": found.kind,
            "reporter": reporter,
            "authentic": authentic,
        },
    )
    if not made:
        return None
    recent = queries.recent_complaints(mailbox.id, days=rules.COMPLAINT_DAYS)
    if authentic and recent >= rules.COMPLAINTS:
        sending.note_complaints(mailbox=mailbox, count=recent)
    return row


@transaction.atomic
def count_refusal(code: str) -> None:
    """One more mail, or report in it, that gave nothing."""
    row, _ = ReportRefusal.objects.get_or_create(day=clock.now().date(), code=code[:40])
    ReportRefusal.objects.filter(pk=row.pk).update(count=F("count") + 1)


@transaction.atomic
def say(*, actor: Actor, domain: Domain, operator: str, word: str) -> SourceWord:
    """Say of a source that it is ours or not, or (``word`` "") take that back.

    By the Département or the commune's référent. Errors: NotAllowed; Invalid for a word or a source that is none.
    """
    if not actor.manages(domain.collectivite_id):
        raise NotAllowed("only the Département or the référent says who sends for a commune")
    if word not in ("", *SourceWord.Word.values) or operator == operators.OURS:
        raise Invalid("word")
    if not DmarcRow.objects.filter(domain_id=domain.id, operator=operator).exists():
        raise Invalid("source")
    row, _ = SourceWord.objects.update_or_create(
        domain_id=domain.id,
        operator=operator,
        defaults={
            "collectivite_id": domain.collectivite_id,
            "word": word,
            "said_by": actor.id,
            "said_at": clock.now(),
        },
    )
    audit.record_of(actor, "mail:source:said", domain, {"operator": operator, "word": word or "none"})
    return row


@transaction.atomic
def tighten(*, actor: Actor, domain: Domain) -> MailDomain:
    """Go to the stricter DMARC policy that the reports allow; what is published follows as for every choice.

    Errors: NotAllowed; Conflict while the reports are not clean.
    """
    found = queries.advice(domain)
    if found.code != "ready":
        raise Conflict("the reports do not allow a stricter policy yet")
    chosen = domain_queries.choices(domain.id)
    return domains.choose(
        actor=actor,
        domain=domain,
        dmarc=found.to,
        sts=chosen.sts,
        also_sends=" ".join(chosen.also_sends),
        old_mx=chosen.old_mx,
    )


def _once(*parts: object) -> str:
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
