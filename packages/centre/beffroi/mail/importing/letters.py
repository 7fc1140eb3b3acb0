"""A mail on its way from an old mailbox to a new one. Pure.

Rule:    the same mail is the same Message-ID, Date and size; without a Message-ID, the same header and size. Transport
         changes the size (Received), so a copy that came by another way is another mail.
Hostile: the whole mail. Our own ``X-Beffroi-*`` headers are taken out: only the mail door stamps them, and remediation
         and the page believe them. Nothing else is parsed or changed.
"""

from __future__ import annotations

import email.utils
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from beffroi.mail.engines.layout import MAX_MAIL_BYTES

MAX_BYTES = MAX_MAIL_BYTES
"""Of a mail that is brought in: what Postfix takes."""
MAX_KEYWORDS = 30
MAX_KEYWORD_CHARS = 50
_OURS = re.compile(rb"^x-beffroi-[^\n]*\n(?:[ \t][^\n]*\n)*", re.IGNORECASE | re.MULTILINE)
_KEYWORD = re.compile(rb"[A-Za-z0-9$_.+-]+")
_SYSTEM = {one.lower(): one for one in (b"\\Seen", b"\\Answered", b"\\Flagged", b"\\Draft", b"\\Deleted")}


@dataclass(frozen=True)
class Head:
    """What is known of a mail before it is fetched. ``key``: b"" when only the mail itself can tell."""

    uid: int
    flags: tuple[bytes, ...]
    at: datetime
    size_bytes: int
    key: bytes


@dataclass(frozen=True)
class Letter:
    """``data``: clean; ``at``: when it was received."""

    data: bytes
    flags: tuple[bytes, ...]
    at: datetime

    @property
    def key(self) -> bytes:
        return key(header_of(self.data), len(self.data))


def clean(raw: bytes) -> bytes:
    """The mail as it is saved: CRLF line ends, no NUL, without headers that only our mail door may write.

    A bare CR ends a line, too: Dovecot makes it one, and what stood behind it would be a header then."""
    lines = (
        raw.replace(b"\r\r\n", b"\n").replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\0", b"\x80")
    )
    end = 0 if lines.startswith(b"\n") else lines.find(b"\n\n") + 1  # of the header, which may be empty
    header, body = (lines[:end], lines[end:]) if end or lines.startswith(b"\n") else (lines, b"")
    if header and not header.endswith(b"\n"):
        header += b"\n"
    return (_OURS.sub(b"", header) + body or b"\n").replace(b"\n", b"\r\n")


def header_of(data: bytes) -> bytes:
    """The header with its empty line, as IMAP's BODY[HEADER] gives it."""
    if data.startswith(b"\r\n"):
        return data[:2]
    end = data.find(b"\r\n\r\n")
    return data if end < 0 else data[: end + 4]


def key(header: bytes, size_bytes: int) -> bytes:
    """16 bytes that name a mail by its header (whole, or Message-ID and Date alone) and size."""
    named = partial_key(header, size_bytes)
    return named or hashlib.sha256(b"header\n%d\n" % size_bytes + header.strip()).digest()[:16]


def partial_key(header: bytes, size_bytes: int) -> bytes:
    """The same from Message-ID and Date alone; b"" for a mail without a Message-ID."""
    message_id = field(header, b"message-id")
    if not message_id.strip(b"<> "):
        return b""
    basis = b"id\n%d\n%b\n%b" % (size_bytes, message_id, field(header, b"date"))
    return hashlib.sha256(basis).digest()[:16]


def field(header: bytes, name: bytes) -> bytes:
    """The first field of this name, on one line; b"" where there is none."""
    found = re.search(
        rb"^" + name + rb"[ \t]*:([^\n]*\n(?:[ \t][^\n]*\n?)*)", header + b"\n", re.IGNORECASE | re.MULTILINE
    )
    return b" ".join(found.group(1).split()) if found else b""


def dated(*texts: bytes) -> datetime | None:
    """The first of these that is a date of mail; None where none is."""
    for text in texts:
        try:
            parsed = email.utils.parsedate_to_datetime(text.decode("latin-1"))
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
        at = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
        if 1970 < at.year < 2100:
            return at
    return None


def kept_flags(flags: Sequence[bytes]) -> tuple[bytes, ...]:
    """System flags, and keywords that any server takes; never ours, which lift marks of the mail door."""
    found = [_SYSTEM[one.lower()] for one in flags if one.lower() in _SYSTEM]
    words = [
        one
        for one in flags
        if _KEYWORD.fullmatch(one)
        and len(one) <= MAX_KEYWORD_CHARS
        and not one.lower().startswith(b"$beffroi")
    ]
    return tuple(dict.fromkeys(found + words[:MAX_KEYWORDS]))
