"""Référents and élus of a collectivité hear by mail that its departure was recorded, by whomever, or taken back.

Process: worker. Composes a mail with the portal's words and addresses.
"""

from __future__ import annotations

from beffroi.core.communes.models import Collectivite
from beffroi.leaving.models import Leaving
from beffroi.mail.held import notices
from beffroi.mail.held.models import Notice
from beffroi.mail.models import Mailbox
from beffroi.portal import continued_told
from beffroi.portal.dates import date_format
from beffroi.portal.letters import letter, mailboxes_of_those_who_answer, page

ABOUT = "leaving"


def ask(leaving_id: str, not_continued_by: str = "") -> None:
    """Of its state now, and who continues it or does not any more; of one that is over, there is nobody to tell."""
    leaving = Leaving.objects.filter(pk=leaving_id).first()
    if leaving is None:
        return
    continued_told.ask(leaving, not_continued_by)
    if leaving.state != Leaving.State.LEFT:
        told = mailboxes_of_those_who_answer(leaving.collectivite_id)
        notices.ask(ABOUT, f"{leaving.id}:{leaving.state}", told)


def compose(notice: Notice, mailbox: Mailbox) -> notices.Letter | None:
    """Nothing that is not true any more."""
    leaving_id, _, state = notice.ref.partition(":")
    leaving = Leaving.objects.filter(pk=leaving_id, state=state).first()
    if leaving is None:
        return None
    on, planned = date_format(leaving.leaves_on, "j F Y"), leaving.state == "planned"
    subject = f"La collectivité quitte le Département le {on}" if planned else "La collectivité reste"
    context = {
        "commune": Collectivite.objects.get(pk=leaving.collectivite_id).name,
        "leaving": leaving,
        "on": on,
        "planned": planned,
        "page": page("departure_of_all"),
    }
    return letter(subject, "leaving", context)
