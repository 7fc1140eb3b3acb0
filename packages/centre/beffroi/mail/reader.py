"""Read one mailbox for the page, over IMAP with a short token.

Purpose: list and read messages. Parts are chosen from BODYSTRUCTURE and fetched one by one: Dovecot parses the
         message, no Python mail parser does.
Process: web; the caller has checked the mailbox with ``queries.access_mailbox``.
Hostile: everything in a message. Sizes, counts and depths are capped; a part that does not decode is shown as
         replacement signs. HTML is returned raw: the page must sanitise it before it shows it.
Fails:   MailboxUnavailable when Dovecot does not answer or refuses.
Source:  RFC 9051; RFC 2047.
"""

from __future__ import annotations

import builtins
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any

import imapclient
from imapclient.exceptions import IMAPClientError

from beffroi.lib.config import Config
from beffroi.lib.errors import NotFound, TooLarge, Unavailable
from beffroi.mail import compose, tokens, unsubscribing
from beffroi.mail.decoding import decoded, fetched, header_text, text_of, unflowed
from beffroi.mail.engines import layout
from beffroi.mail.heads import (
    SUMMARY,
    WHOLE,
    Authentication,
    MessageSummary,
    address_of,
    addresses_of,
    authentication_of,
    receipt_to,
    recipients_of,
    sent_at,
    stamped,
    stamps_in,
    summary_of,
)
from beffroi.mail.structure import Part, attached_mail, bodies_of, part_at, parts_of

TIMEOUT_S = 10.0
MAX_LIST = 200
MAX_TEXT_BYTES = 512 * 1024
MAX_HTML_BYTES = 2 * 1024 * 1024
MAX_ATTACHMENT_BYTES = 25_000_000
_ENDINGS = {
    "message/rfc822": ".eml",
    "message/delivery-status": ".txt",
    "message/disposition-notification": ".txt",
    "text/rfc822-headers": ".txt",
    "text/calendar": ".ics",
    "application/pdf": ".pdf",
    "image/jpeg": ".jpg",
}
_RETURNED = ("message/rfc822", "text/rfc822-headers")
MAX_RETURNED_BYTES = 50_000


class MailboxUnavailable(Unavailable):
    """{} does not answer at the moment; try again shortly."""

    code = "mail.unavailable"


class AttachmentTooLarge(TooLarge):
    """The attachment has more than {} bytes."""

    code = "mail.attachment_too_large"


@dataclass(frozen=True)
class Attachment:
    """What is attached, by name and size; ``part`` is its IMAP section."""

    part: str
    name: str
    content_type: str
    size_bytes: int
    charset: str = "utf-8"
    """As its sender says; hostile."""
    content_id: str = ""
    """By which the HTML names it; hostile."""

    @property
    def file_name(self) -> str:
        """To save it under, without any path. Mails that are attached, and invitations, often have no name."""
        return compose.file_name(self.name or f"piece-jointe{_ENDINGS.get(self.content_type, '')}")


@dataclass(frozen=True)
class MessageView:
    """``html`` is hostile: sanitise it. ``truncated`` when a part was longer than what is shown."""

    summary: MessageSummary
    to: tuple[str, ...]
    text: str
    html: str
    attachments: tuple[Attachment, ...]
    authentication: Authentication
    truncated: bool = False
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()
    """Of a message of one's own: nobody else's copy has it."""
    returned: str = ""
    """Our identifier of the message that a word of our own Postfix brings back."""
    unsubscribe: unsubscribing.Way | None = None
    """How one leaves the list that it came from."""
    receipt_to: str = ""
    """Who asks for a read receipt; as the mail says."""


@dataclass(frozen=True)
class AttachedMail:
    """A mail that is attached as a mail: everything as whoever attached it says. ``html`` is hostile: sanitise it."""

    from_name: str
    from_address: str
    to: tuple[str, ...]
    sent_at: datetime | None
    subject: str
    text: str
    html: str
    attachments: tuple[Attachment, ...]
    truncated: bool


@contextmanager
def open_mailbox(config: Config, address: str) -> Iterator[MailboxReader]:
    """Open a mailbox for reading. Errors: MailboxUnavailable."""
    with connect(config, address) as client:
        yield MailboxReader(client)


@contextmanager
def connect(config: Config, address: str) -> Iterator[Any]:
    """A signed-in IMAP client of one mailbox. Errors: MailboxUnavailable."""
    try:
        client = imapclient.IMAPClient(
            layout.LOOPBACK, config.imap_local_port, ssl=False, timeout=TIMEOUT_S, use_uid=True
        )
    except (OSError, IMAPClientError):
        raise MailboxUnavailable("The mailbox") from None
    try:
        # imaplib writes a line in two pieces; held back until the first is acknowledged, the second waits 40 ms.
        client.socket().setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.oauthbearer_login(address, tokens.mailbox_token(config, address))
        yield client
    except (OSError, IMAPClientError) as error:
        raise MailboxUnavailable("The mailbox") from error
    finally:
        try:
            client.logout()
        except (OSError, IMAPClientError):
            pass


class MailboxReader:
    """One open mailbox."""

    def __init__(self, client: Any) -> None:
        self.client = self._client = client

    def list(
        self, folder: str = "INBOX", limit: int = 50, before_uid: int | None = None
    ) -> list[MessageSummary]:
        """Newest first; ``before_uid`` continues below a page. Errors: NotFound (folder)."""
        next_uid = self._select(folder)
        below = next_uid if before_uid is None else min(before_uid, next_uid)
        return self.summaries(self._newest(below, min(max(limit, 1), MAX_LIST)))

    def _newest(self, below: int, wanted: int) -> builtins.list[int]:
        """The highest UIDs under ``below``, highest first: in windows that grow, for the list of all UIDs of a large
        folder is longer than everything else that a page asks for."""
        found: builtins.list[int] = []
        window = wanted
        while len(found) < wanted and below > 1:
            first = max(1, below - window)
            found += sorted(self._client.search(f"UID {first}:{below - 1}"), reverse=True)
            below, window = first, window * 4
        return found[:wanted]

    def summaries(self, uids: Sequence[int]) -> builtins.list[MessageSummary]:
        """These messages of the folder that is open, in this order."""
        rows = self._client.fetch(uids, SUMMARY) if uids else {}
        return [summary_of(uid, rows[uid]) for uid in uids if uid in rows]

    def read(self, uid: int, folder: str = "INBOX") -> MessageView:
        """Errors: NotFound (the message may have been withdrawn meanwhile)."""
        self._select(folder)
        row = self._client.fetch([uid], [*WHOLE, "BODYSTRUCTURE"]).get(uid)
        if row is None:
            raise NotFound("message")
        structure = row.get(b"BODYSTRUCTURE")
        parts = list(parts_of(structure))
        text, html, attachments, cut = self._contents(uid, structure)
        headers, summary = stamped(row), summary_of(uid, row)
        proved = authentication_of(headers.get("x-beffroi-auth", ""))
        is_proved = (proved.dkim, proved.dmarc) == ("pass", "pass")
        domain = summary.from_address.rpartition("@")[2]
        return MessageView(
            summary=summary,
            to=recipients_of(row.get(b"ENVELOPE"), "to"),
            cc=recipients_of(row.get(b"ENVELOPE"), "cc"),
            bcc=recipients_of(row.get(b"ENVELOPE"), "bcc"),
            text=text,
            html=html,
            attachments=attachments,
            authentication=proved,
            truncated=cut,
            returned="" if "x-beffroi-id" in headers else self._returned(uid, parts),
            receipt_to=receipt_to(row),
            unsubscribe=unsubscribing.way(fetched(row), domain) if is_proved else None,
        )

    def read_attached(self, uid: int, section: str, folder: str = "INBOX") -> AttachedMail:
        """A mail that is attached. Errors: NotFound."""
        self._select(folder)
        structure = self._client.fetch([uid], ["BODYSTRUCTURE"]).get(uid, {}).get(b"BODYSTRUCTURE")
        found = attached_mail(structure, section)
        if found is None:
            raise NotFound("attachment")
        date, subject, writers, _, _, to = found.envelope[:6]
        writer = next(iter(addresses_of(writers)), None)
        text, html, attachments, cut = self._contents(uid, found.structure, found.start)
        return AttachedMail(
            from_name=header_text(getattr(writer, "name", None)),
            from_address=address_of(writer),
            to=tuple(one for one in map(address_of, addresses_of(to)) if one),
            sent_at=sent_at(date),
            subject=header_text(subject),
            text=text,
            html=html,
            attachments=attachments,
            truncated=cut,
        )

    def _contents(
        self, uid: int, structure: Any, start: str = ""
    ) -> tuple[str, str, tuple[Attachment, ...], bool]:
        """(text, HTML, attachments, whether a part was cut) of the message that is open."""
        bodies = bodies_of(structure, start)
        text, text_cut = self._text(uid, bodies.text, MAX_TEXT_BYTES)
        html, html_cut = self._text(uid, bodies.html, MAX_HTML_BYTES, as_html=True)
        attachments = tuple(
            Attachment(p.section, p.name, p.kind, p.decoded_bytes, p.charset, p.content_id)
            for p in parts_of(structure, start)
            if p.section not in bodies.sections
        )
        return text, html, attachments, text_cut or html_cut

    def _returned(self, uid: int, parts: Sequence[Part]) -> str:
        part = next((p for p in parts if p.kind in _RETURNED), None)
        if part is None:
            return ""
        inside = ".HEADER.FIELDS (X-BEFFROI-ID)" if part.kind == "message/rfc822" else ""
        raw = self._fetched(uid, part.section + inside, MAX_RETURNED_BYTES)
        return stamps_in(raw).get("x-beffroi-id", "")

    def mark_seen(self, uid: int, folder: str = "INBOX") -> None:
        """Mark as read. A refusal (a full disk, a message withdrawn meanwhile) is no reason not to show it."""
        try:
            self._client.select_folder(folder)
            self._client.add_flags([uid], [b"\\Seen"], silent=True)
        except IMAPClientError:
            pass

    def flag(self, uid: int, folder: str, name: bytes) -> None:
        self._client.select_folder(folder)
        self._client.add_flags([uid], [name], silent=True)

    def attachment(self, uid: int, section: str, folder: str = "INBOX") -> tuple[Attachment, bytes]:
        """One attached part and its bytes. Errors: NotFound, AttachmentTooLarge."""
        self._select(folder)
        structure = self._client.fetch([uid], ["BODYSTRUCTURE"]).get(uid, {}).get(b"BODYSTRUCTURE")
        part = part_at(structure, section)
        if part is None:
            raise NotFound("attachment")
        if part.decoded_bytes > MAX_ATTACHMENT_BYTES:
            raise AttachmentTooLarge(MAX_ATTACHMENT_BYTES)
        # What is sent may be longer than what the structure says: the second cap is on the wire.
        data = decoded(self._fetched(uid, part.section, MAX_ATTACHMENT_BYTES * 3 // 2), part.encoding)
        return Attachment(part.section, part.name, part.kind, len(data)), data

    def _select(self, folder: str) -> int:
        """Open the folder; return the UID that its next message gets."""
        try:
            return int(self._client.select_folder(folder, readonly=True)[b"UIDNEXT"])
        except IMAPClientError:
            raise NotFound("folder") from None

    def _text(
        self, uid: int, parts: Sequence[Part], limit_bytes: int, *, as_html: bool = False
    ) -> tuple[str, bool]:
        """What these parts say, one below the other, and whether that is cut at the limit."""
        found, cut = [], False
        for part in parts:
            data, too_long = self._part(uid, part, limit_bytes)
            limit_bytes, cut = limit_bytes - len(data), cut or too_long
            text = text_of(data, part.charset)
            if part.flowed:
                text = unflowed(text, delsp=part.delsp)
            found.append(f"<pre>{escape(text)}</pre>" if as_html and part.kind == "text/plain" else text)
        return "\n".join(found), cut

    def _part(self, uid: int, part: Part, limit_bytes: int) -> tuple[bytes, bool]:
        # The transfer encoding adds a third; the cap holds before and after decoding.
        raw = self._fetched(uid, part.section, max(limit_bytes * 4 // 3, 1))
        return decoded(raw, part.encoding)[:limit_bytes], part.size_bytes > limit_bytes * 4 // 3

    def _fetched(self, uid: int, section: str, most_bytes: int) -> bytes:
        return fetched(self._client.fetch([uid], [f"BODY.PEEK[{section}]<0.{most_bytes}>"]).get(uid, {}))
