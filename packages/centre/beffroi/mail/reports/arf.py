"""Complaints of recipients, as feedback loops send them (ARF). Pure.

Purpose: which mail of ours somebody marked as unwanted; of the mail itself its Message-ID alone is read.
Input:   hostile. Only the three parts of the report are looked at, never what the mail inside holds.
Fails:   ReportRefused.
Source:  RFC 5965; RFC 6591 (failure reports, which are not asked for).
"""

from __future__ import annotations

from email.message import Message
from email.parser import HeaderParser

from beffroi.mail.gate.facts import bare_message_id
from beffroi.mail.reports.errors import NoReport, Unreadable
from beffroi.mail.reports.values import Complaint

KINDS = ("abuse", "fraud", "virus", "other", "opt-out")
"""Feedback types that speak against a mail. "not-spam" speaks for it; "auth-failure" is no person's word."""
MAX_HEADER_CHARACTERS = 128 * 1024
_PARTS = 10


def is_one(message: Message) -> bool:
    return any(part.get_content_type() == "message/feedback-report" for part in _parts(message))


def read(message: Message) -> Complaint:
    """Errors: NoReport for what is no complaint; Unreadable without the mail that it is about."""
    kind, about = "", ""
    for part in _parts(message):
        if part.get_content_type() == "message/feedback-report":
            kind = str(_inner(part).get("Feedback-Type", "")).strip().lower()
        elif part.get_content_type() in ("message/rfc822", "text/rfc822-headers"):
            about = about or bare_message_id(str(_inner(part).get("Message-ID", "")))
    if kind not in KINDS:
        raise NoReport
    if not about or len(about) > 998:
        raise Unreadable("no Message-ID")
    return Complaint(kind, about, bare_message_id(str(message.get("Message-ID", "")))[:998])


def _parts(message: Message) -> list[Message]:
    inside = message.get_payload()
    found = inside[:_PARTS] if message.is_multipart() and isinstance(inside, list) else []
    return [one for one in found if isinstance(one, Message)]


def _inner(part: Message) -> Message:
    """The headers inside a part. The parser takes every ``message/*`` for a mail of its own."""
    inside = part.get_payload()
    if isinstance(inside, list) and inside and isinstance(inside[0], Message):
        return inside[0]
    body = part.get_payload(decode=True)
    text = body.decode("ascii", "replace") if isinstance(body, bytes) else ""
    return HeaderParser().parsestr(text[:MAX_HEADER_CHARACTERS])
