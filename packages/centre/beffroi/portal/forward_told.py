"""A mailbox hears by mail that its forward ends soon, or was ended by nobody's hand: a mail program shows no banner.

Process: worker. Composes mail's rows with the portal's words and addresses.
Privacy: the mail names both addresses, to the mailbox that is forwarded. Nothing of it goes to a log.
"""

from __future__ import annotations

from datetime import timedelta

from beffroi.lib import clock
from beffroi.mail.filters import queries
from beffroi.mail.filters.models import Forward
from beffroi.mail.held import notices
from beffroi.mail.held.models import Notice
from beffroi.mail.models import Mailbox
from beffroi.portal import filters_words as words
from beffroi.portal.letters import letter, page

ENDS, ENDED = "forward_ends", "forward_ended"
BEFORE = timedelta(days=7)
LOOKS_BACK = timedelta(days=2)


def ask_due() -> None:
    """Once for each term of a forward that ends soon, and for each that ended."""
    now = clock.now()
    soon = Forward.objects.filter(
        ended_at=None, suspended_at=None, expires_at__gt=now, expires_at__lte=now + BEFORE
    )
    over = Forward.objects.filter(ended_at__gt=now - LOOKS_BACK, ended_by="")
    asked = [(ENDS, f"{one.id} {one.expires_at:%Y-%m-%d}", one) for one in soon]
    for about, ref, row in [*asked, *((ENDED, one.id, one) for one in over)]:
        notices.ask(about, ref, Mailbox.objects.filter(pk=row.mailbox_id, closed_at=None))


def compose(notice: Notice, mailbox: Mailbox) -> notices.Letter | None:
    row = Forward.objects.filter(pk=notice.ref.partition(" ")[0]).first()
    if row is None or _is_settled(notice, row):
        return None
    context = {
        "address": mailbox.address,
        "target": row.target,
        "last": words.day(row.expires_at),
        "ended": row.ended_at is not None,
        "why": _why(row),
        "page": page("mail_forward", mailbox.id),
    }
    when = "est arrêté" if row.ended_at else f"s’arrête le {context['last']}"
    return letter(f"Le renvoi de votre courrier {when}", "forward", context)


def _is_settled(notice: Notice, row: Forward) -> bool:
    if notice.about == ENDED:
        return (
            row.ended_at is None or Forward.objects.filter(mailbox_id=row.mailbox_id, ended_at=None).exists()
        )
    return row.ended_at is not None or row.suspended_at is not None or row.expires_at > clock.now() + BEFORE


def _why(row: Forward) -> str:
    if row.ended_at is None:
        return ""
    if row.expires_at <= row.ended_at:
        return "son terme est passé"
    if queries.is_closed(row.target):
        return "la boîte vers laquelle il allait est fermée"
    if queries.is_outside(row):
        return "votre Département n’autorise plus le renvoi que vers les adresses de la collectivité"
    return "la personne qui l’avait demandé est partie"
