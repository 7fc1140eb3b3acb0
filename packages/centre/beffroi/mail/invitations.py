"""Invitations in the mail: the text of one that came, and a message that carries one out.

Process: web. What the text says is read in the process ``calendars``; here it is bytes with a charset.
Hostile: the part, its size and its charset.
Source:  RFC 6047 (iMIP).
"""

from __future__ import annotations

from collections.abc import Sequence

from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.mail import access, compose, sendings
from beffroi.mail.access import Access
from beffroi.mail.compose import Draft, File
from beffroi.mail.decoding import is_charset
from beffroi.mail.models import Sending
from beffroi.mail.reader import Attachment, MailboxReader, MessageView

MAX_BYTES = 256 * 1024
_KINDS = ("text/calendar", "application/ics")


def part_of(view: MessageView) -> Attachment | None:
    """The part of a mail that may be an invitation."""
    found = {kind: one for kind in _KINDS for one in reversed(view.attachments) if one.content_type == kind}
    return next((found[kind] for kind in _KINDS if kind in found), None)


def fetch(opened: MailboxReader, uid: int, folder: str, part: Attachment) -> bytes:
    """b"" for what is longer than ``MAX_BYTES``. Errors: NotFound."""
    if part.size_bytes > MAX_BYTES:
        return b""
    data = opened.attachment(uid, part.part, folder)[1]
    return data if len(data) <= MAX_BYTES else b""


def text_of(data: bytes, charset: str) -> str | None:
    """UTF-8, else what the part says of itself; None for what is neither."""
    for name in ("utf-8", charset):
        if is_charset(name):
            try:
                return data.decode(name)
            except UnicodeError:
                continue
    return None


def send(
    config: Config,
    opened: Access,
    *,
    sender: str,
    from_name: str,
    recipients: Sequence[str],
    subject: str,
    words: str,
    calendar: str,
) -> Sending:
    """Put a message with this calendar on its way, with the time to call it back.

    Errors: compose.DraftInvalid, MailboxUnavailable, NotFound, AlreadyLeaving.
    """
    draft = Draft(
        from_name=from_name,
        from_address=sender,
        to=", ".join(recipients),
        subject=subject[: compose.MAX_SUBJECT_CHARS],
        text=words,
        files=(File("invitation.ics", calendar.encode(), is_calendar=True),),
        message_id=compose.new_message_id(opened.address),
    )
    whom = compose.recipients(draft)
    with access.open_drafts(config, opened) as folder:
        place = folder.put(compose.build(draft, clock.now()))
    return sendings.schedule(
        actor=opened.actor,
        mailbox=opened.mailbox,
        place=place,
        message_id=draft.message_id,
        recipients=len(whom),
    )
