"""How many of the last mails a filter would have met.

Process: web, over IMAP with a short token. Dovecot parses the mails; sizes are capped by ``reader``.
"""

from __future__ import annotations

from typing import Any

from beffroi.mail import heads, reader
from beffroi.mail.decoding import header_text
from beffroi.mail.filters import sieve

LOOKED = 100


def look(opened: reader.MailboxReader, rule: sieve.Rule) -> tuple[int, int]:
    """(matched, looked) of the last mails in the inbox. Errors: NotFound, MailboxUnavailable."""
    client = opened.client
    client.select_folder("INBOX", readonly=True)
    uids = sorted(client.search("ALL"))[-LOOKED:]
    rows: dict[int, dict[bytes, Any]] = client.fetch(uids, ["ENVELOPE"]) if uids else {}
    return sum(_matches(rule, row.get(b"ENVELOPE")) for row in rows.values()), len(rows)


def _matches(rule: sieve.Rule, envelope: Any) -> bool:
    senders = _people(getattr(envelope, "from_", None))
    return sieve.matches(
        rule,
        sender=", ".join(senders),
        recipients=_people(getattr(envelope, "to", None)) + _people(getattr(envelope, "cc", None)),
        subject=header_text(getattr(envelope, "subject", None)),
    )


def _people(addresses: Any) -> list[str]:
    found = (addresses or ())[: heads.MAX_RECIPIENTS]
    return [f"{header_text(getattr(a, 'name', None))} <{heads.address_of(a)}>" for a in found]
