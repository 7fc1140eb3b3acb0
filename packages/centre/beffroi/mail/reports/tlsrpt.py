"""TLS reports. Pure.

Input:  hostile JSON; msgspec bounds its depth. Policies, failures and texts are capped.
Traps:  ``mx-host`` is a text or a list, numbers are texts in some; ``policies`` may name domains of several communes.
Fails:  ReportRefused; a policy without a domain is left out.
Source: RFC 8460, section 4.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from beffroi_protocol.errors import UNDECODABLE

from beffroi.mail.reports import values
from beffroi.mail.reports.dmarc import name_of, span
from beffroi.mail.reports.errors import NoReport, TooMany, Unreadable
from beffroi.mail.reports.values import MAX_COUNT, MAX_FAILURES, MAX_REPORTS, Tls, TlsFailure

POLICIES = ("sts", "tlsa", "no-policy-found")


def read(data: bytes, *, now_s: float) -> list[Tls]:
    """Errors: ReportRefused."""
    try:
        found = msgspec.json.decode(data.removeprefix(b"\xef\xbb\xbf"))
    except UNDECODABLE:
        raise Unreadable("JSON") from None
    policies = found.get("policies") if isinstance(found, dict) else None
    if not isinstance(policies, list):
        raise NoReport
    if len(policies) > MAX_REPORTS:
        raise TooMany(f"{MAX_REPORTS} policies")
    days = _dict(found.get("date-range"))
    begin_s, end_s = span(
        _seconds(days.get("start-datetime")), _seconds(days.get("end-datetime")), now_s=now_s
    )
    out = []
    for one in policies:
        policy, summary = _dict(_dict(one).get("policy")), _dict(_dict(one).get("summary"))
        domain = name_of(_text(policy.get("policy-domain")))
        kind = _text(policy.get("policy-type")).lower()
        if not domain:
            continue
        out.append(
            Tls(
                org=_text(found.get("organization-name")),
                report_id=_text(found.get("report-id")),
                domain=domain,
                begin_s=begin_s,
                end_s=end_s,
                policy=kind if kind in POLICIES else "no-policy-found",
                good=_count(summary.get("total-successful-session-count")),
                failed=_count(summary.get("total-failure-session-count")),
                failures=_failures(_dict(one).get("failure-details")),
            )
        )
    if not out:
        raise NoReport
    return out


def _failures(given: Any) -> tuple[TlsFailure, ...]:
    rows = given if isinstance(given, list) else []
    return tuple(
        TlsFailure(
            kind=_text(row.get("result-type")).lower()[:60],
            messages=_count(row.get("failed-session-count")),
            mx=name_of(_text(row.get("receiving-mx-hostname"))),
        )
        for row in (_dict(one) for one in rows[:MAX_FAILURES])
    )


def _seconds(value: Any) -> str:
    try:
        moment = datetime.fromisoformat(_text(value))
    except ValueError:
        return ""
    return str(int(moment.timestamp())) if moment.tzinfo else ""


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return values.plain(value) if isinstance(value, str) else ""


def _count(value: Any) -> int:
    try:
        return min(max(int(value), 0), MAX_COUNT)
    except (TypeError, ValueError, OverflowError):
        return 0
