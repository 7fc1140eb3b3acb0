"""What the head of a mail says, as Dovecot tells it: who wrote it, to whom, and what the entry stamped. Pure.

Hostile: everything but our own fields (X-Beffroi-*), which the entry removes from what strangers send.
Source:  RFC 9051, section 7.5.2 (ENVELOPE); RFC 5322; docs/internals/mail-engines.md.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from imapclient import response_parser
from imapclient.response_types import Address

from beffroi.mail import compose, unsubscribing
from beffroi.mail.decoding import clean, fetched, header_text, moment

MAX_RECIPIENTS = 100
CHECKED_FLAG = b"$BeffroiChecked"
RECEIPT_FLAG = b"$MDNSent"
"""A read receipt was sent, by whatever program (RFC 3503)."""
_HEADERS = "X-BEFFROI-ID X-BEFFROI-UNCHECKED X-BEFFROI-AUTH REFERENCES"
_REST = ["FLAGS", "INTERNALDATE", "ENVELOPE"]
SUMMARY = [*_REST, f"BODY.PEEK[HEADER.FIELDS ({_HEADERS})]"]
"""What ``summary_of`` asks for."""
_OFFERS = " ".join(("DISPOSITION-NOTIFICATION-TO", *unsubscribing.FIELDS))
WHOLE = [*_REST, f"BODY.PEEK[HEADER.FIELDS ({_HEADERS} {_OFFERS})]"]
"""Of a mail that is read."""
_FIELD = re.compile(rb"^(x-beffroi-[a-z]+):[ \t]*([^\r\n]{0,500})", re.IGNORECASE | re.MULTILINE)
_RECEIPT = re.compile(
    rb"^disposition-notification-to[ \t]*:((?:[^\r\n]|\r?\n[ \t]){0,2000})", re.IGNORECASE | re.MULTILINE
)
_REFERENCES = re.compile(rb"^references:[ \t\r\n]*(<[^<>\s]{3,250}>)", re.IGNORECASE | re.MULTILINE)

response_parser.parse_to_datetime = moment


@dataclass(frozen=True)
class MessageSummary:
    uid: int
    beffroi_id: str
    from_name: str
    from_address: str
    subject: str
    received_at: datetime
    seen: bool
    unchecked: bool
    flagged: bool = False
    answered: bool = False
    to: str = ""
    """The first recipient: for a message of one's own."""
    others: int = 0
    """How many more it went to, in To, Cc and Bcc."""
    root: str = ""
    """The first message of its conversation, as it says; hostile."""
    message_id: str = ""
    """As its sender says; hostile."""


@dataclass(frozen=True)
class Authentication:
    """What the entry found: each "pass", "fail", "softfail", "neutral", "none", "temperror" or "permerror".
    ``signed_in``: at our own submission, which lets nobody write in another's name and asks for none of these."""

    spf: str = "none"
    dkim: str = "none"
    dmarc: str = "none"
    signed_in: bool = False

    @property
    def is_proven(self) -> bool:
        """It comes from the domain that its From: names."""
        return self.signed_in or self.dmarc == "pass"


def summary_of(uid: int, row: dict[bytes, Any]) -> MessageSummary:
    """``row``: the answer to a FETCH of ``SUMMARY``."""
    headers, envelope, flags = stamped(row), row.get(b"ENVELOPE"), row.get(b"FLAGS", ())
    sender = (getattr(envelope, "from_", None) or (None,))[0]
    received = row.get(b"INTERNALDATE")
    return MessageSummary(
        uid=uid,
        beffroi_id=headers.get("x-beffroi-id", ""),
        from_name=header_text(getattr(sender, "name", None)),
        from_address=address_of(sender),
        subject=header_text(getattr(envelope, "subject", None)),
        received_at=received.astimezone(UTC)
        if isinstance(received, datetime)
        else datetime.fromtimestamp(0, UTC),
        seen=b"\\Seen" in flags,
        unchecked="x-beffroi-unchecked" in headers and CHECKED_FLAG not in flags,
        flagged=b"\\Flagged" in flags,
        answered=b"\\Answered" in flags,
        to=_first_recipient(envelope),
        others=_others(envelope),
        root=_root(row, envelope),
        message_id=_latin(getattr(envelope, "message_id", None) or b"")[:1000],
    )


def _root(row: dict[bytes, Any], envelope: Any) -> str:
    raw = fetched(row)
    found = _REFERENCES.search(raw)
    return _latin(found[1] if found else getattr(envelope, "message_id", None) or b"")[:300]


def _first_recipient(envelope: Any) -> str:
    first = next(iter(_everybody(envelope)), None)
    return header_text(getattr(first, "name", None)) or address_of(first)


def _others(envelope: Any) -> int:
    return max(len(_everybody(envelope)) - 1, 0)


def _everybody(envelope: Any) -> list[Any]:
    """Without the names of groups, which an envelope has among its addresses (RFC 9051, 7.5.2)."""
    found = (one for name in ("to", "cc", "bcc") for one in getattr(envelope, name, None) or ())
    return [one for one in found if address_of(one)]


def stamped(row: dict[bytes, Any]) -> dict[str, str]:
    """What the entry wrote into the head of the message (docs/internals/mail-engines.md)."""
    return stamps_in(fetched(row))


def receipt_to(row: dict[bytes, Any]) -> str:
    """The one address that asks for a read receipt; "" for none, several, or where one was sent."""
    told = _RECEIPT.findall(fetched(row))
    if RECEIPT_FLAG in row.get(b"FLAGS", ()) or len(told) != 1:
        return ""
    try:
        wanted = compose.parse_addresses(header_text(told[0]), "to")
    except (compose.DraftInvalid, ValueError):
        return ""
    return wanted[0].addr_spec if len(wanted) == 1 else ""


def stamps_in(raw: bytes) -> dict[str, str]:
    """Our own fields of a head."""
    return {k.decode("ascii").lower(): v.decode("ascii", "replace").strip() for k, v in _FIELD.findall(raw)}


def authentication_of(text: str) -> Authentication:
    found = dict(re.findall(r"(spf|dkim|dmarc)=([a-z]+)", text))
    return Authentication(**found, signed_in="signed-in=yes" in text)


def recipients_of(envelope: Any, field_name: str) -> tuple[str, ...]:
    """``field_name``: to, cc, bcc."""
    found = (address_of(a) for a in (getattr(envelope, field_name, None) or ())[:MAX_RECIPIENTS])
    return tuple(one for one in found if one)


def addresses_of(told: Any) -> Sequence[Address]:
    """Of an envelope that imapclient leaves as it came."""
    return [Address(*one) for one in (told or ())[:MAX_RECIPIENTS] if len(one) == 4]


def sent_at(date: bytes | None) -> datetime | None:
    """A Date: as it came; None where it is none."""
    try:
        return countable(moment(date, normalise=False)) if date else None
    except ValueError:
        return None


def countable(told: datetime) -> datetime | None:
    """What a mail says, in UTC; None near the ends of what programs count, where another zone has no such moment."""
    try:
        found = told.astimezone(UTC)
    except OverflowError:
        return None
    return found if 1 < found.year < 9999 else None


def address_of(address: Any) -> str:
    """ "" for what is none: where a group begins and ends, an address that is cut."""
    mailbox, host = getattr(address, "mailbox", None) or b"", getattr(address, "host", None) or b""
    return clean(f"{_latin(mailbox)}@{_latin(host)}") if mailbox and host else ""


def _latin(value: bytes) -> str:
    return value.decode("utf-8", "replace")
