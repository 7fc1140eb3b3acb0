"""Signed links of a digest: they open the list of subjects, and nothing else, for some days.

Purpose: a secretary sees from her mail what is held, before she signs in; releasing asks for the sign-in.
Input:   hostile; a link travels in a mail and may be forwarded. It names a mailbox and its owner at that time.
Fails:   closed: a link that is late, changed, of a closed mailbox or of one with another owner is "no such page".
"""

from __future__ import annotations

from django.conf import settings
from django.core import signing

from beffroi.lib.config import Config
from beffroi.lib.errors import NotFound
from beffroi.mail.models import Mailbox

LIFE_S = 7 * 86400
SALT = "mail.held.list"


def make(mailbox: Mailbox) -> str:
    """The text that opens the list of this mailbox for ``LIFE_S`` seconds."""
    return signing.dumps([mailbox.id, mailbox.person_id], key=settings.HELD_LINK_KEY, salt=SALT)


def read(text: str) -> Mailbox:
    """Errors: NotFound."""
    try:
        mailbox_id, person_id = signing.loads(text, key=settings.HELD_LINK_KEY, salt=SALT, max_age=LIFE_S)
    except (signing.BadSignature, ValueError, TypeError):
        raise NotFound("link") from None
    found = Mailbox.objects.filter(pk=mailbox_id, person_id=person_id, closed_at=None).first()
    if found is None or person_id is None:
        raise NotFound("link")
    return found


def address(config: Config, path: str) -> str:
    """A path of the portal as a whole address."""
    port = "" if config.portal_port == 443 else f":{config.portal_port}"
    return f"https://{config.portal_name}{port}{path}"
