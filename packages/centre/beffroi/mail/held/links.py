"""Signed links of a digest: they open the list of subjects, or one of them, and change nothing, for some days.

Purpose: a secretary sees from her mail what is held, before she signs in; releasing asks for the sign-in.
Input:   hostile; a link travels in a mail and may be forwarded, and programs open it. It is good for one mailbox and
         who read it at that time.
Fails:   closed: a link that is changed, of a closed mailbox or of one that others read is "no such page"; one that is
         late says so.
"""

from __future__ import annotations

import hashlib

from django.conf import settings
from django.core import signing

from beffroi.lib.config import Config
from beffroi.lib.errors import NotFound
from beffroi.lib.ids import is_id
from beffroi.mail.held.models import HeldMail
from beffroi.mail.models import Mailbox
from beffroi.mail.people.models import Member

LIFE_S = 7 * 86400
SALT = "mail.held.list"
SALT_OF_ONE = "mail.held.one"


class LinkTooOld(NotFound):
    """This link of a digest is older than a week; what is still held stands on the portal's page."""

    code = "mail.held_link_too_old"


def make(mailbox: Mailbox) -> str:
    """The text that opens the list of this mailbox for ``LIFE_S`` seconds."""
    return signing.dumps([mailbox.id, _readers(mailbox)], key=settings.HELD_LINK_KEY, salt=SALT)


def read(text: str) -> Mailbox:
    """Errors: NotFound, LinkTooOld."""
    try:
        mailbox_id, readers = signing.loads(text, key=settings.HELD_LINK_KEY, salt=SALT, max_age=LIFE_S)
    except signing.SignatureExpired:
        raise LinkTooOld from None
    except (signing.BadSignature, ValueError, TypeError):
        raise NotFound("link") from None
    found = Mailbox.objects.filter(pk=mailbox_id, closed_at=None).first()
    if found is None or not readers or readers != _readers(found):
        raise NotFound("link")
    return found


def make_for(row: HeldMail, mailbox: Mailbox) -> str:
    """The text that opens this one mail's page for ``LIFE_S`` seconds: about 80 letters, for a digest has many."""
    return _signer(mailbox).sign(row.id)


def read_one(text: str) -> HeldMail:
    """In whatever state it is by now. Errors: NotFound, LinkTooOld."""
    name = text.partition(":")[0]
    row = HeldMail.objects.filter(pk=name).first() if is_id(name, "hld") else None
    mailbox = Mailbox.objects.filter(pk=row.mailbox_id, closed_at=None).first() if row is not None else None
    if row is None or mailbox is None or not _readers(mailbox):
        raise NotFound("link")
    try:
        _signer(mailbox).unsign(text, max_age=LIFE_S)
    except signing.SignatureExpired:
        raise LinkTooOld from None
    except signing.BadSignature:
        raise NotFound("link") from None
    return row


def _signer(mailbox: Mailbox) -> signing.TimestampSigner:
    salt = f"{SALT_OF_ONE}:{mailbox.id}:{_readers(mailbox)}"
    return signing.TimestampSigner(key=settings.HELD_LINK_KEY, salt=salt)


def address(config: Config, path: str) -> str:
    """A path of the portal as a whole address."""
    return config.portal_origin + path


def _readers(mailbox: Mailbox) -> str:
    """The owner, or a hash of the members of a functional mailbox: whoever left it reads no further subject."""
    if mailbox.person_id is not None:
        return mailbox.person_id
    rows = Member.objects.filter(mailbox_id=mailbox.id, ended_at=None)
    inside = ",".join(sorted(rows.values_list("person_id", flat=True)))
    return hashlib.sha256(inside.encode()).hexdigest() if inside else ""
