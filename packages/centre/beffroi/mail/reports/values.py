"""What was read of a mail that brings reports, and where it passes from one process to the other.

Purpose: whoever unpacks and parses strangers' archives has no database, no secret and no network.
Process: Postfix writes ``mail/`` (a Maildir); reports reads it and writes ``read/``; sources takes that in. No Django.
Input:   ``read/`` is hostile: reports may have been taken over by what it parsed. It is read with limits, never
         through a symbolic link, and every value is judged again.
Format:  read/NAME.json, one ``Read`` for each mail.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
from beffroi_protocol.errors import UNDECODABLE

MAX_ROWS = 5000
"""Rows of one report. A commune's have a dozen; a report of more is no commune's."""
MAX_REPORTS = 20
"""Reports of one mail: one domain each, but for TLS reports of several policies."""
MAX_FAILURES = 50
MAX_TEXT = 200
MAX_COUNT = 1_000_000_000
MAX_ANSWER_BYTES = 8 * 1024 * 1024


class Row(msgspec.Struct, frozen=True):
    """``messages`` from ``address`` that went alike. ``dkim``, ``spf``: passed and aligned, says the reporter;
    ``dkim_domain``, ``spf_domain``: what passed, aligned or not; ``reason``: why the policy was not followed."""

    address: str
    messages: int
    dkim: bool
    spf: bool
    disposition: str
    header_from: str
    dkim_domain: str = ""
    spf_domain: str = ""
    reason: str = ""


class Dmarc(msgspec.Struct, frozen=True):
    """One aggregate report. ``begin_s``, ``end_s``: UTC epoch seconds; ``policy``: what the reporter saw published;
    ``rows``: those that say something usable."""

    org: str
    report_id: str
    domain: str
    begin_s: int
    end_s: int
    policy: str
    rows: tuple[Row, ...]


_ZERO = rb"\u0000"
"""As msgspec writes it; PostgreSQL keeps no text with it."""


class TlsFailure(msgspec.Struct, frozen=True):
    """``kind``: a result type of RFC 8460 4.3; ``mx``: the server that was to receive."""

    kind: str
    messages: int
    mx: str = ""


class Tls(msgspec.Struct, frozen=True):
    """One domain of a TLS report. ``policy``: sts, tlsa or no-policy-found."""

    org: str
    report_id: str
    domain: str
    begin_s: int
    end_s: int
    policy: str
    good: int
    failed: int
    failures: tuple[TlsFailure, ...] = ()


class Complaint(msgspec.Struct, frozen=True):
    """A recipient's word against one mail. ``kind``: a feedback type of RFC 5965; ``about``: Message-ID of that mail;
    ``report_id``: Message-ID of the complaint, "" when it has none. Both without angle brackets."""

    kind: str
    about: str
    report_id: str


class Read(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``reporter``: domain of the visible sender; ``authentic``: our mail door saw SPF or DKIM prove that domain;
    ``code``: why nothing was read, else ""."""

    reporter: str = ""
    authentic: bool = False
    code: str = ""
    dmarc: tuple[Dmarc, ...] = ()
    tls: tuple[Tls, ...] = ()
    complaint: Complaint | None = None


def plain(text: str) -> str:
    """A sender's word as a page may show it and every database keeps it: no control signs, none that turn the order."""
    return "".join(sign for sign in " ".join(text.split()) if sign.isprintable())[:MAX_TEXT]


def root(state: Path) -> Path:
    return state / "reports"


def maildir(state: Path) -> Path:
    return root(state) / "mail"


def read_folder(state: Path) -> Path:
    return root(state) / "read"


def results(state: Path) -> Iterator[tuple[Path, Read]]:
    """Everything that waits, the oldest name first; what cannot be read is a ``Read`` with a code."""
    for path in sorted(read_folder(state).glob("*.json")):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with os.fdopen(descriptor, "rb") as file:
                data = file.read(MAX_ANSWER_BYTES + 1)
            if len(data) > MAX_ANSWER_BYTES or _ZERO in data:
                raise ValueError
            yield path, msgspec.json.decode(data, type=Read)
        except (OSError, *UNDECODABLE):
            yield path, Read(code="report.crashed")
