"""What waits for a person in the other collectivités that they work for, and in their other mailboxes.

Process: web.
Access:  the person's own memberships, each asked behind the wall of its own collectivité; numbers, and no content.
         What is behind a number opens with the choice of that collectivité, as before.
Fails:   unread mails are not counted where the mail server does not answer; the rest is.
Source:  docs/decisions/0223-what-waits-elsewhere.md.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.conf import settings
from django.utils.translation import ngettext_lazy

from beffroi.core.communes import row_security
from beffroi.core.identity.models import Membership
from beffroi.core.identity.sessions import actor_of
from beffroi.incidents import queries as incidents
from beffroi.lib.errors import Unavailable
from beffroi.mail import folders, reader, sendings
from beffroi.mail import queries as mail
from beffroi.mail.held import queries as held
from beffroi.mail.models import Mailbox
from beffroi.portal.counts import in_words

MOST = 12
"""Memberships that are counted: each costs a few questions and a connection. Who has more, as the data protection
officer of all communes, is told so."""
_WAITING = (
    ngettext_lazy("%(n)s message pas parti", "%(n)s messages pas partis", "n"),
    ngettext_lazy("%(n)s courriel non lu", "%(n)s courriels non lus", "n"),
    ngettext_lazy("%(n)s courriel retenu à regarder", "%(n)s courriels retenus à regarder", "n"),
    ngettext_lazy("%(n)s dossier ouvert", "%(n)s dossiers ouverts", "n"),
)


def unread(mailboxes: Sequence[Mailbox]) -> dict[str, int]:
    """Mailbox -> unread mails of its inbox. The first that does not answer is the last that is asked."""
    found: dict[str, int] = {}
    try:
        for one in mailboxes:
            with reader.open_mailbox(settings.BEFFROI, one.address) as opened:
                found[one.id] = folders.unseen(opened)
    except Unavailable:
        pass
    return found


def waiting(others: Sequence[Membership], *, counts_mail: bool = True) -> list[tuple[Membership, str]]:
    """(membership, what waits there) of each where something does; nothing of more than ``MOST``. ``counts_mail``:
    whether the mail server is asked."""
    told = []
    for one in others if len(others) <= MOST else ():
        actor = actor_of(one)
        with row_security.limited_to(one.collectivite_id):
            letters = sum(unread(list(mail.own_mailboxes(actor))).values()) if counts_mail else 0
            stuck = len(sendings.refused(actor))
            kept, opened = held.unseen(actor), incidents.open_incidents(actor).count()
        counted = zip(_WAITING, (stuck, letters, kept, opened), strict=True)
        if text := ", ".join(in_words(words, n) for words, n in counted if n):
            told.append((one, text))
    return told
