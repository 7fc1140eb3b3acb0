"""The head of a mail that goes through the relay: one sender for all devices, and which device it was.

Purpose: the centre lets the relay send as one mailbox only, and whoever answers should reach whom the device meant.
Input:   hostile: whatever a machine of the LAN writes. Lines are taken out or left as they are; nothing is decoded.
Source:  RFC 5322; RFC 2047 for the device's name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from email.header import Header
from email.utils import formatdate

_OURS = re.compile(
    rb"(?:from|sender|return-path|bcc|resent-[a-z-]+|x-beffroi-[a-z-]+|x-boitier-[a-z-]+)[ \t]*:", re.I
)
_NAME = re.compile(rb"[!-9;-~]+[ \t]*:")


def rewritten(
    lines: Iterable[bytes], *, sender: str, device: str, mail_id: str, now: int
) -> list[bytes] | None:
    """Return the lines of the head (without CRLF, without the blank line) as they go on.

    None when it is no head: a line that is neither a field nor its continuation.
    """
    fields: list[list[bytes]] = []
    for line in lines:
        if line[:1] in (b" ", b"\t"):
            if not fields:
                return None
            fields[-1].append(line)
        elif _NAME.match(line):
            fields.append([line])
        else:
            return None
    present = {field[0].partition(b":")[0].strip().lower() for field in fields}
    shown = word(device)
    head = [f"From: {shown} <{sender}>".encode(), f"X-Boitier-Device: {shown}".encode()]
    if b"date" not in present:
        head.append(f"Date: {formatdate(now)}".encode())
    if b"message-id" not in present:
        head.append(f"Message-ID: <{mail_id}@{sender.rpartition('@')[2]}>".encode())
    return head + [line for field in fields if not _OURS.match(field[0]) for line in field]


def word(text: str) -> str:
    """A name as encoded words: ASCII, and nothing in it ends the line or the name."""
    return Header(text, "utf-8").encode().replace("\n", "")


def notice(
    *, sender: str, device: str, recipients: Iterable[str], reason: str, mail_id: str, now: int
) -> list[bytes]:
    """A mail to the relay's own mailbox about one that could not be delivered, as lines without CRLF."""
    subject = f"Non remis : envoi de « {device} »"
    text = (
        f"Un envoi de « {device} » par le relais du boîtier n'a pas pu être remis.",
        "",
        f"Destinataire : {', '.join(recipients)}",
        f"Raison : {reason}",
        "",
        "Renvoyez le document depuis l'appareil, ou par un autre moyen.",
    )
    return [
        f"From: {word('Boîtier')} <{sender}>".encode(),
        f"To: <{sender}>".encode(),
        f"Subject: {word(subject)}".encode(),
        f"Date: {formatdate(now)}".encode(),
        f"Message-ID: <{mail_id}@{sender.rpartition('@')[2]}>".encode(),
        b"Auto-Submitted: auto-generated",
        b"MIME-Version: 1.0",
        b"Content-Type: text/plain; charset=utf-8",
        b"Content-Transfer-Encoding: 8bit",
        b"",
        *(line.encode() for line in text),
    ]
