"""Référents and élus of the collectivité that continues another one hear by mail that its mail will come to them: when
it is recorded, in its last week, on the day, and that it does not.

Process: worker. Composes a mail with the portal's words and addresses.
Privacy: the addresses of the one that leaves are counted, not named: until its day they are its own.
"""

from __future__ import annotations

from datetime import timedelta

from beffroi.core.communes.models import Collectivite
from beffroi.leaving import continuing, queries
from beffroi.leaving.models import Leaving
from beffroi.lib import clock
from beffroi.mail.held import notices
from beffroi.mail.held.models import Notice
from beffroi.mail.models import Mailbox
from beffroi.portal.dates import date_format
from beffroi.portal.letters import letter, mailboxes_of_those_who_answer, page
from beffroi.portal.words import de_fr

ABOUT = "leaving_continued"
BEFORE = timedelta(days=7)
SAID_LATELY = timedelta(days=2)
"""Then the week before is the same mail."""


def ask(leaving: Leaving, by: str = "") -> None:
    """Of how it stands now; ``by``: who does not continue it any more."""
    found = continuing.continued(leaving)
    if by := by or (found["by"] if found else ""):
        told = mailboxes_of_those_who_answer(by)
        notices.ask(ABOUT, f"{leaving.id}:{_stage(leaving, by)}", told, again_after=timedelta(0))


def ask_due() -> None:
    """Once, in the last week."""
    soon = Leaving.objects.filter(state=Leaving.State.PLANNED, leaves_on__lte=queries.today() + BEFORE)
    for leaving in soon:
        lately = Notice.objects.filter(
            about=ABOUT, ref=f"{leaving.id}:said", asked_at__gt=clock.now() - SAID_LATELY
        )
        if (found := continuing.continued(leaving)) is not None and not lately.exists():
            notices.ask(ABOUT, f"{leaving.id}:week", mailboxes_of_those_who_answer(found["by"]))


def compose(notice: Notice, mailbox: Mailbox) -> notices.Letter | None:
    """Nothing that is not true any more."""
    leaving_id, _, stage = notice.ref.partition(":")
    leaving = Leaving.objects.filter(pk=leaving_id).first()
    is_now = _stage(leaving, mailbox.collectivite_id) if leaving is not None else ""
    if leaving is None or is_now != ("said" if stage == "week" else stage):
        return None
    former = Collectivite.objects.get(pk=leaving.collectivite_id).name
    found = continuing.continued(leaving) or {}
    receiver = Mailbox.objects.filter(pk=found.get("mailbox_id"), closed_at=None).first()
    subject = {
        "ended": f"Le courrier {de_fr(former)} ne vient pas chez vous",
        "day": f"Le courrier {de_fr(former)} arrive chez vous depuis aujourd’hui",
    }.get(
        is_now,
        f"Le courrier {de_fr(former)} viendra chez vous le {date_format(leaving.leaves_on, 'j F Y')}",
    )
    context = {
        "former": former,
        "leaving": leaving,
        "on": date_format(leaving.leaves_on, "l j F Y"),
        "stage": is_now,
        "reason": found.get("reason", ""),
        "receiver": receiver.address if receiver else "",
        "refused": sum(not boxes for _address, boxes in continuing.addresses(leaving)),
        "shared": page("shared_mailboxes"),
        "persons": page("persons"),
        "aliases": page("aliases"),
    }
    return letter(subject, "leaving_continued", context)


def _stage(leaving: Leaving, by: str) -> str:
    """``said``, ``day`` or ``ended``, as this collectivité sees it."""
    found = continuing.continued(leaving)
    if leaving.state == Leaving.State.TAKEN_BACK or found is None or found["by"] != by:
        return "ended"
    return "day" if "domains" in found else "said"
