"""Aggregate DMARC reports. Pure.

Input:  hostile XML. expat reads it with document types refused, so that no entity is ever declared: no expansion, no
        file, no address of somebody else. Depth, elements, rows and texts are capped.
Traps:  reporters differ: namespaces or none, ``identities`` for ``identifiers``, missing ``disposition``, an
        ``spf`` domain in capitals, dates as decimal numbers, results of DKIM that were tried and not aligned.
Fails:  ReportRefused; a row that says nothing usable is skipped.
Source: RFC 7489, appendix C; the schema dmarc-2.0 of DMARCbis.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from xml.parsers import expat

from beffroi_protocol.errors import IndicatorInvalid
from beffroi_protocol.indicators import Kind, normalise

from beffroi.mail.reports import values
from beffroi.mail.reports.errors import Declared, TooMany, Unreadable
from beffroi.mail.reports.values import MAX_COUNT, MAX_ROWS, MAX_TEXT, Dmarc, Row

MAX_DEPTH = 16
MAX_ELEMENTS = 400_000
MAX_AGE_S, AHEAD_S, LONGEST_S = 400 * 86400, 2 * 86400, 32 * 86400
POLICIES = ("none", "quarantine", "reject")


@dataclass
class _Record:
    texts: dict[str, str] = field(default_factory=dict)
    signed: dict[str, str] = field(default_factory=dict)
    passed: dict[str, str] = field(default_factory=dict)
    """What passed: dkim -> domain, spf -> domain; the first of each."""


class _Reader:
    def __init__(self) -> None:
        self.head: dict[str, str] = {}
        self.records: list[_Record] = []
        self._path: list[str] = []
        self._text = ""
        self._elements = 0
        self._record: _Record | None = None

    def start(self, name: str, _attributes: object) -> None:
        self._elements += 1
        self._path.append(name.rpartition(":")[2])
        self._text = ""
        if len(self._path) > MAX_DEPTH or self._elements > MAX_ELEMENTS:
            raise TooMany(f"depth {MAX_DEPTH} or {MAX_ELEMENTS} elements")
        if self._path == ["feedback", "record"]:
            if len(self.records) >= MAX_ROWS:
                raise TooMany(f"{MAX_ROWS} rows")
            self._record = _Record()
            self.records.append(self._record)
        if self._record is not None and self._path[-2:] in (
            ["auth_results", "dkim"],
            ["auth_results", "spf"],
        ):
            self._record.signed = {}

    def text(self, data: str) -> None:
        if len(self._text) < MAX_TEXT:
            self._text = (self._text + data)[:MAX_TEXT]

    def end(self, _name: str) -> None:
        path, text = self._path, values.plain(self._text)
        self._text = ""
        if self._record is None:
            if text:
                self.head.setdefault("/".join(path[1:]), text)
        elif path[2:3] == ["auth_results"]:
            self._result(self._record, path, text)
        elif text:
            self._record.texts.setdefault("/".join(path[-2:]), text)
        path.pop()
        if path == ["feedback"]:
            self._record = None

    def _result(self, record: _Record, path: list[str], text: str) -> None:
        if len(path) == 5:
            record.signed[path[4]] = text.lower()
        elif len(path) == 4 and record.signed.get("result") == "pass":
            record.passed.setdefault(path[3], record.signed.get("domain", ""))


def read(data: bytes, *, now_s: float) -> Dmarc:
    """Errors: ReportRefused."""
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = _refuse
    try:
        parser.Parse(data.lstrip(b"\r\n\t "), True)
    except (expat.ExpatError, ValueError, LookupError) as error:  # the last: an encoding that nobody knows
        raise Unreadable(type(error).__name__) from None
    head = reader.head
    domain = name_of(head.get("policy_published/domain", ""))
    if not domain:
        raise Unreadable("no domain")
    begin_s, end_s = span(
        head.get("report_metadata/date_range/begin", ""),
        head.get("report_metadata/date_range/end", ""),
        now_s=now_s,
    )
    rows = [row for one in reader.records if (row := _row(one, domain)) is not None]
    policy = head.get("policy_published/p", "").lower()
    return Dmarc(
        org=head.get("report_metadata/org_name", "")[:MAX_TEXT],
        report_id=head.get("report_metadata/report_id", "")[:MAX_TEXT],
        domain=domain,
        begin_s=begin_s,
        end_s=end_s,
        policy=policy if policy in POLICIES else "none",
        rows=tuple(rows),
    )


def _refuse(*_: object) -> None:
    raise Declared


def _row(record: _Record, domain: str) -> Row | None:
    texts = record.texts
    try:
        address = str(ipaddress.ip_address(texts.get("row/source_ip", "")))
        messages = int(texts.get("row/count", ""))
    except ValueError:
        return None
    if "%" in address or not 0 < messages <= MAX_COUNT:  # an address with a zone is nobody's on the internet
        return None
    shown = texts.get("identifiers/header_from") or texts.get("identities/header_from") or domain
    disposition = texts.get("policy_evaluated/disposition", "none").lower()
    return Row(
        address=address,
        messages=messages,
        dkim=texts.get("policy_evaluated/dkim", "").lower() == "pass",
        spf=texts.get("policy_evaluated/spf", "").lower() == "pass",
        disposition=disposition if disposition in POLICIES else "none",
        header_from=name_of(shown) or domain,
        dkim_domain=name_of(record.passed.get("dkim", "")),
        spf_domain=name_of(record.passed.get("spf", "")),
        reason=texts.get("reason/type", "").lower()[:40],
    )


def name_of(text: str) -> str:
    """A domain name in canonical form; "" for what is none."""
    try:
        return normalise(Kind.DOMAIN, text.strip().rstrip(".")).value
    except IndicatorInvalid:
        return ""


def span(begin: str, end: str, *, now_s: float) -> tuple[int, int]:
    """The days of a report. Errors: Unreadable."""
    try:
        begin_s, end_s = int(float(begin)), int(float(end))
    except (ValueError, OverflowError):
        raise Unreadable("dates") from None
    if not (now_s - MAX_AGE_S <= begin_s <= end_s <= now_s + AHEAD_S and end_s - begin_s <= LONGEST_S):
        raise Unreadable("dates")
    return begin_s, end_s
