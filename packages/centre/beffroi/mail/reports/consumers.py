"""Take in what the process ``reports`` has read. Group "sources": names of addresses are asked of DNS."""

from __future__ import annotations

import contextlib

from django.conf import settings

from beffroi.core.communes.models import Domain
from beffroi.core.communes.queries import current_domains
from beffroi.core.events import periodic
from beffroi.mail.domains import checking
from beffroi.mail.domains.asking import Asker
from beffroi.mail.reports import actions, arf, operators, queries, values
from beffroi.mail.reports.errors import OtherDomain, UnknownMail
from beffroi.mail.reports.models import Complaint as ComplaintRow
from beffroi.mail.reports.values import Complaint, Dmarc, Read, Row

BUDGET_S = 20.0
"""Of questions to DNS in one turn; what has no name by then is known by its network."""
SLICE = 50
_CODES = frozenset(
    f"report.{one}"
    for one in (
        "none",
        "too_big",
        "too_many",
        "unreadable",
        "declared",
        "other_domain",
        "unknown_mail",
        "crashed",
    )
)


@periodic("mail.reports", every_s=30.0, group="sources")
def take_waiting() -> None:
    """A result is deleted when it is kept; one that is met again is known."""
    config = settings.BEFFROI
    asker = checking.own_resolver(config, budget_s=BUDGET_S)
    for number, (path, found) in enumerate(values.results(config.state)):
        if number >= SLICE:
            break
        take(found, asker=asker)
        with contextlib.suppress(FileNotFoundError):
            path.unlink()


def take(found: Read, *, asker: Asker) -> int:
    """Keep the reports of one mail; return how many were new."""
    if found.code:
        actions.count_refusal(found.code if found.code in _CODES else "report.refused")
        return 0
    if found.complaint is not None:
        kept = _take_complaint(found.complaint, found)
        return int(kept is not None)
    made = 0
    ours = operators.own_addresses(settings.BEFFROI, asker)
    for one in found.dmarc[: values.MAX_REPORTS]:
        domain = _domain(one.domain)
        if domain is None or not _sound(one):
            actions.count_refusal(OtherDomain.code if domain is None else "report.unreadable")
            continue
        names = operators.operators(one.rows, domain.name, ours, asker)
        made += (
            actions.take_dmarc(
                one, domain=domain, reporter=found.reporter, authentic=found.authentic, names=names
            )
            is not None
        )
    for tls in found.tls[: values.MAX_REPORTS]:
        domain = _domain(tls.domain)
        if domain is None:
            actions.count_refusal(OtherDomain.code)
            continue
        made += (
            actions.take_tls(tls, domain=domain, reporter=found.reporter, authentic=found.authentic)
            is not None
        )
    return made


def _take_complaint(one: Complaint, found: Read) -> ComplaintRow | None:
    texts = (one.kind, one.about, one.report_id, found.reporter)
    if one.kind not in arf.KINDS or not one.about or any(len(text) > 998 for text in texts):
        actions.count_refusal("report.unreadable")
        return None
    mailbox = queries.sender_of(one.about)
    if mailbox is None:
        actions.count_refusal(UnknownMail.code)
        return None
    return actions.take_complaint(
        one, mailbox=mailbox, reporter=found.reporter[:253], authentic=found.authentic
    )


def _domain(name: str) -> Domain | None:
    """The enrolled domain that a report is about: the name itself, or the nearest one above it."""
    parts = name.split(".")
    names = [".".join(parts[i:]) for i in range(len(parts) - 1)]
    found = {one.name: one for one in current_domains().filter(name__in=names)}
    return next((found[one] for one in names if one in found), None)


def _sound(report: Dmarc) -> bool:
    """Judge again what another process wrote: it may have been taken over."""
    return len(report.rows) <= values.MAX_ROWS and all(_row_sound(one) for one in report.rows)


def _row_sound(row: Row) -> bool:
    texts = (row.dkim_domain, row.spf_domain, row.disposition, row.reason)
    return (
        0 < row.messages <= values.MAX_COUNT
        and operators.is_address(row.address)
        and all(len(one) <= 253 for one in texts)
    )
