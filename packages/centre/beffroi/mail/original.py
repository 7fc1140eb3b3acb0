"""What an answer needs of the mail it answers, and what the page of writing needs of a draft.

Process: web; Dovecot parses the message, no Python mail parser does.
Hostile: everything in the mail that is answered; of a draft, what another program of the owner's wrote.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from beffroi.lib.errors import Invalid, NotFound
from beffroi.mail import compose
from beffroi.mail.decoding import fetched, header_text
from beffroi.mail.drafts import DRAFTS
from beffroi.mail.heads import address_of, countable
from beffroi.mail.reader import Attachment, MailboxReader

MAX_ADDRESSES = 1000
"""Of a field. More than what a message goes to, so that who answers all is told so, and nobody is left out unsaid."""
_HEADERS = (
    "BODY.PEEK[HEADER.FIELDS (REFERENCES REPLY-TO DISPOSITION-NOTIFICATION-TO"
    " X-BEFFROI-SOURCE X-BEFFROI-TO X-BEFFROI-CC X-BEFFROI-BCC)]"
)
_FIELD = re.compile(rb"^([A-Za-z-]+):[ \t]*((?:[^\r\n]|\r?\n[ \t]){0,200000})", re.MULTILINE)


@dataclass(frozen=True)
class Opened:
    """A draft as the page shows it. ``html``: what another program wrote; hostile. ``reply_to``, ``asks_receipt``: as
    that program was told, which leave with it (``drafts``)."""

    uid: int
    uid_validity: int
    to: str
    cc: str
    bcc: str
    subject: str
    text: str
    message_id: str
    in_reply_to: str
    references: str
    source: str
    attachments: tuple[Attachment, ...] = ()
    html: str = ""
    sender: str = ""
    reply_to: str = ""
    asks_receipt: bool = False


def fetch(opened: MailboxReader, uid: int, folder: str, text: str) -> compose.Original:
    """``text``: what is quoted, as the page has read it. Errors: NotFound."""
    validity, envelope, headers = _envelope(opened, uid, folder)
    sender = (getattr(envelope, "from_", None) or (None,))[0]
    told = getattr(envelope, "date", None)
    return compose.Original(
        uid=uid,
        uid_validity=validity,
        folder=folder,
        from_name=header_text(getattr(sender, "name", None)),
        from_address=address_of(sender),
        reply_to=_plain(envelope, "reply_to"),
        to=_plain(envelope, "to"),
        cc=_plain(envelope, "cc"),
        subject=header_text(getattr(envelope, "subject", None)),
        sent_at=countable(told) if told else None,
        text=text,
        message_id=_ascii(getattr(envelope, "message_id", None)),
        references=headers.get("references", ""),
    )


def draft(opened: MailboxReader, uid: int) -> Opened:
    """Errors: NotFound, Invalid (longer than what is shown: to be written on in the program that began it)."""
    view = opened.read(uid, DRAFTS)
    if view.truncated:
        raise Invalid("draft")
    validity, envelope, headers = _envelope(opened, uid, DRAFTS)
    return Opened(
        uid=uid,
        uid_validity=validity,
        to=headers.get("x-beffroi-to") or _named(envelope, "to"),
        cc=headers.get("x-beffroi-cc") or _named(envelope, "cc"),
        bcc=headers.get("x-beffroi-bcc") or _named(envelope, "bcc"),
        subject=header_text(getattr(envelope, "subject", None)),
        text=view.text.replace("\r\n", "\n").removesuffix("\n"),
        message_id=_ascii(getattr(envelope, "message_id", None)),
        in_reply_to=_ascii(getattr(envelope, "in_reply_to", None)),
        references=headers.get("references", ""),
        source=headers.get("x-beffroi-source", ""),
        attachments=view.attachments,
        html=view.html,
        sender=envelope_sender(envelope),
        reply_to=headers.get("reply-to", ""),
        asks_receipt=bool(headers.get("disposition-notification-to")),
    )


def envelope_recipients(envelope: Any) -> list[str]:
    """To, Cc and Bcc as Dovecot parsed them, each once."""
    return list(dict.fromkeys(one for name in ("to", "cc", "bcc") for one in _plain(envelope, name)))


def envelope_sender(envelope: Any) -> str:
    """The address of From; "" without one."""
    return next(iter(_plain(envelope, "from_")), "")


def _envelope(opened: MailboxReader, uid: int, folder: str) -> tuple[int, Any, dict[str, str]]:
    chosen = opened.client.select_folder(folder, readonly=True)
    row = opened.client.fetch([uid], ["ENVELOPE", _HEADERS]).get(uid)
    if row is None:
        raise NotFound("message")
    headers = {
        k.decode("ascii").lower(): header_text(re.sub(rb"\r?\n[ \t]+", b" ", v), compose.MAX_TYPED_CHARS)
        if k.lower() != b"references"
        else _ascii(re.sub(rb"\s+", b" ", v))
        for k, v in _FIELD.findall(fetched(row))
    }
    return int(chosen[b"UIDVALIDITY"]), row.get(b"ENVELOPE"), headers


def _plain(envelope: Any, name: str) -> tuple[str, ...]:
    found = (address_of(one) for one in (getattr(envelope, name, None) or ())[:MAX_ADDRESSES])
    return tuple(one for one in found if one)


def _named(envelope: Any, name: str) -> str:
    out = []
    for one in (getattr(envelope, name, None) or ())[:MAX_ADDRESSES]:
        shown, address = header_text(getattr(one, "name", None)), address_of(one)
        quoted = shown.replace("\\", "").replace('"', "")
        out.append(f'"{quoted}" <{address}>' if quoted else address)
    return ", ".join(one for one in out if one)


def _ascii(value: bytes | None) -> str:
    return (value or b"").decode("ascii", "replace").strip()
