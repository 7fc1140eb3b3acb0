"""Read receipts: who asks for one, and the one that a person sends.

Process: web.
Hostile: what the mail says. Nothing is ever sent by itself: who asks would learn that the mailbox lives, and when its
         owner is there.
Fails:   closed: no address, no receipt.
Source:  RFC 8098, 2.1 (the person is asked) and 3 (format); RFC 3503 ($MDNSent).
"""

from __future__ import annotations

import re

from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.mail import access, compose, sendings
from beffroi.mail.access import Access
from beffroi.mail.compose import Draft, Original
from beffroi.mail.heads import RECEIPT_FLAG
from beffroi.mail.models import Sending


def send(
    config: Config, opened: Access, original: Original, *, to: str, from_name: str, subject: str, words: str
) -> Sending:
    """Put a receipt for this mail on its way, with the time to call it back; it is not asked for again.

    Errors: compose.DraftInvalid, MailboxUnavailable, NotFound, AlreadyLeaving.
    """
    told = ["Reporting-UA: Beffroi", f"Final-Recipient: rfc822;{opened.address}"]
    if re.fullmatch(r"<[!-~]{1,250}>", original.message_id):
        told.append(f"Original-Message-ID: {original.message_id}")
    draft = Draft(
        from_name=from_name,
        from_address=opened.address,
        to=to,
        subject=subject[: compose.MAX_SUBJECT_CHARS],
        text=words,
        message_id=compose.new_message_id(opened.address),
        in_reply_to=original.message_id,
        references=original.references,
        receipt="\r\n".join([*told, "Disposition: manual-action/MDN-sent-manually; displayed", ""]),
    )
    with access.open_drafts(config, opened) as folder:
        place = folder.put(compose.build(draft, clock.now()))
    sending = sendings.schedule(
        actor=opened.actor, mailbox=opened.mailbox, place=place, message_id=draft.message_id, recipients=1
    )
    with access.open_mailbox(config, opened) as reading:
        reading.flag(original.uid, original.folder, RECEIPT_FLAG)
    return sending
