"""Who is handed the files and calendars of somebody who left hears of it by mail, once all of them are there.

Process: worker. Composes a mail with the portal's words and addresses.
Privacy: no name of a file; nothing of the mail goes to a log.
"""

from __future__ import annotations

from beffroi.core.identity import queries as identity
from beffroi.drive.store import handovers, passed
from beffroi.drive.store.model import AbsentNode
from beffroi.mail.held import notices
from beffroi.mail.held.models import Notice
from beffroi.mail.models import Mailbox
from beffroi.portal import departure_calendars as calendars
from beffroi.portal.drive_access import metadata_of
from beffroi.portal.letters import letter, mailbox_of, page

ABOUT = "handover"


def ask(*, collectivite_id: str, handover_id: str) -> None:
    """Not where nothing came, nor who has no mailbox here. Errors: Unavailable."""
    try:
        with metadata_of(collectivite_id).reading() as reading:
            found = handovers.find(reading, handover_id)
    except AbsentNode:
        return
    if found.state in ("done", "stopped"):
        notices.ask(ABOUT, handover_id, mailbox_of(found.heir, collectivite_id))


def compose(notice: Notice, mailbox: Mailbox) -> notices.Letter | None:
    """None for who has left. Errors: Unavailable."""
    if not identity.belongs(str(mailbox.person_id), mailbox.collectivite_id):
        return None
    try:
        with metadata_of(mailbox.collectivite_id).reading() as reading:
            found = handovers.find(reading, notice.ref)
            entries = passed.counts(reading, notice.ref)
    except AbsentNode:
        return None
    context = {
        "name": identity.person_name(found.person_id) or "une personne partie",
        "page": page("drive_node", found.folder) if found.folder else "",
        "beside": calendars.counted(entries),
        "agenda": page("agenda"),
    }
    return letter("Ce qu’un collègue a laissé vous est remis", "handover", context)
