"""The seal of the centre's own mails: how a page knows that a digest is one, and not a copy of one.

Purpose: a mail of the centre comes by the same way as everybody's and no domain vouches for it, so its reader would be
         told to be careful with the one mail that is safe. Its Message-ID ends with a keyed hash of what it says.
Input:   hostile: anyone may write "Beffroi" as a sender, and a Message-ID travels in answers. The hash is over mailbox,
         subject and both texts, so a seal taken from one mail is none for another, and none in another mailbox.
Fails:   closed: whatever differs, is cut or has a file attached is a stranger's.
"""

from __future__ import annotations

import hashlib
import hmac
import re

from django.conf import settings

from beffroi.lib.config import Config
from beffroi.mail.reader import MessageView

LOCAL_PART = "courriels-retenus"
_ID = re.compile(r"<dig_[0-9a-z]{26}\.([0-9a-f]{32})@([^<>@\s]+)>")


def seal(*, to: str, subject: str, text: str, html: str) -> str:
    """32 hexadecimal digits."""
    said = "\0".join(_printed(one) for one in (to.lower(), subject, text, html))
    return hmac.new(settings.CENTRE_MAIL_KEY.encode(), said.encode(), hashlib.sha256).hexdigest()[:32]


def is_own(config: Config, address: str, view: MessageView) -> bool:
    """Whether the centre wrote this mail, in these words, to this mailbox."""
    found = _ID.fullmatch(view.summary.message_id.strip())
    if found is None or found[2] != config.mail_name or view.truncated or view.attachments:
        return False
    if view.summary.from_address.lower() != f"{LOCAL_PART}@{config.mail_name}":
        return False
    made = seal(to=address, subject=view.summary.subject, text=view.text, html=view.html)
    return hmac.compare_digest(made, found[1])


def _printed(text: str) -> str:
    """Without spaces and signs that nobody sees: those are what a mail's way may change."""
    return "".join(sign for sign in text if sign.isprintable() and not sign.isspace())
