"""Words of the centre to people's mailboxes: asked for by an event, said once the mailbox takes them.

Purpose: a mailbox that is full hears when there is room again, and keeps no other waiting.
Process: worker (``ask`` in a consumer, ``send_due`` on a timer).
Privacy: rows say which kind of word, of what and to which mailbox; the words are made when they leave.
Fails:   Postfix away, or what is to be said cannot be read: it is tried again, for a week. A kill between Postfix's
         word and the note of it sends it once more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import NamedTuple

from django.conf import settings

from beffroi.core import turns
from beffroi.lib import clock
from beffroi.lib.errors import Unavailable
from beffroi.mail.held import posting
from beffroi.mail.held.models import Notice
from beffroi.mail.models import Mailbox

BATCH = 25
"""Mails a round: the other timers of its lane wait for no more."""
SOON, LATER = timedelta(seconds=15), timedelta(hours=1)
"""Tried again after a failure; by a mailbox that is full."""
GIVE_UP = timedelta(days=7)


class Letter(NamedTuple):
    """``taken``: what is to be noted once Postfix has it."""

    subject: str
    text: str
    html: str
    taken: Callable[[], None] = lambda: None


def ask(about: str, ref: str, mailboxes: Iterable[Mailbox], *, again_after: timedelta | None = None) -> None:
    """Each of these mailboxes is to hear of it: once, or once in ``again_after``."""
    now = clock.now()
    for mailbox in mailboxes:
        row, _ = Notice.objects.get_or_create(
            about=about,
            ref=ref,
            mailbox_id=mailbox.id,
            defaults={"collectivite_id": mailbox.collectivite_id, "asked_at": now, "due_at": now},
        )
        if again_after is not None:
            old = Notice.objects.filter(pk=row.pk, told_at__lte=now - again_after)
            old.update(told_at=None, asked_at=now, due_at=now)


def send_due(compose: Callable[[Notice, Mailbox], Letter | None]) -> int:
    """Say what is due; return how many mails left. ``compose``: None where there is nothing to say any more.

    Errors: MailNotTaken; what ``compose`` raises beside Unavailable, which keeps the others for one round.
    """
    now, sent = clock.now(), 0
    waiting = Notice.objects.filter(turns.due("due_at", now, 2 * LATER), told_at=None)
    for row in waiting.order_by("due_at", "pk")[:BATCH]:
        if not waiting.filter(pk=row.pk).update(due_at=now + SOON):
            continue
        mailbox = Mailbox.objects.filter(pk=row.mailbox_id, closed_at=None).first()
        try:
            letter = compose(row, mailbox) if mailbox and row.asked_at > now - GIVE_UP else None
        except Unavailable:
            continue
        if mailbox is None or letter is None:
            row.delete()
        elif posting.send(
            settings.BEFFROI, to=mailbox.address, subject=letter.subject, text=letter.text, html=letter.html
        ):
            letter.taken()
            Notice.objects.filter(pk=row.pk).update(told_at=clock.now())
            sent += 1
        else:
            Notice.objects.filter(pk=row.pk).update(due_at=now + LATER)
    return sent
