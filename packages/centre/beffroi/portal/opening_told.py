"""Référents of a collectivité hear by mail what became of a request for an opening, and that one ended.

Process: worker. Composes a mail with the portal's words and addresses.
"""

from __future__ import annotations

from django.utils import timezone

from beffroi.boxes.models import OpeningRequest
from beffroi.core.identity import queries as identity
from beffroi.core.identity.models import Membership
from beffroi.mail.held import notices
from beffroi.mail.held.models import Notice
from beffroi.mail.models import Mailbox
from beffroi.portal import opening_words
from beffroi.portal.dates import date_format
from beffroi.portal.letters import letter, page, unlinked

ABOUT = "opening"
KINDS = ("box:opening_accepted", "box:opening_declined", "box:opening_ended")
_SUBJECTS = {
    "accepted": "Une ouverture depuis internet est accordée",
    "declined": "Une ouverture depuis internet est refusée",
    "ended": "Une ouverture depuis internet est refermée",
}


def ask(request_id: str) -> None:
    row = OpeningRequest.objects.filter(pk=request_id, state__in=_SUBJECTS).first()
    if row is None:
        return
    persons = identity.persons_in_role(row.collectivite_id, (Membership.Role.REFERENT,))
    told = Mailbox.objects.filter(collectivite_id=row.collectivite_id, closed_at=None, person_id__in=persons)
    notices.ask(ABOUT, f"{row.id}:{row.state}", told)


def compose(notice: Notice, mailbox: Mailbox) -> notices.Letter | None:
    """Nothing that is not true any more."""
    request_id, _, state = notice.ref.partition(":")
    row = OpeningRequest.objects.filter(pk=request_id, state=state).first()
    if row is None:
        return None
    context = {
        "what": opening_words.request(row)["what"],
        "purpose": unlinked(row.purpose),
        "reason": unlinked(row.reason),
        "state": state,
        "until": date_format(timezone.localtime(row.until), "j F Y à H:i"),
        "page": page("own_boxes"),
    }
    return letter(_SUBJECTS[state], "opening", context)
