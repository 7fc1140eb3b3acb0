"""Who made a drop link hears by mail that files come by it: at most once an hour, however many come.

Process: worker. Composes a mail with the portal's words and addresses.
Privacy: the mail names neither the sender nor a file: both are read in the Coffre. Nothing of it goes to a log.
"""

from __future__ import annotations

from datetime import timedelta

from beffroi.core.identity import queries as identity
from beffroi.drive.store import shares
from beffroi.drive.store.model import AbsentNode
from beffroi.drive.store.names import in_order
from beffroi.mail.held import notices
from beffroi.mail.held.models import Notice
from beffroi.mail.models import Mailbox
from beffroi.portal.drive_access import metadata_of
from beffroi.portal.letters import letter, mailbox_of, page

ABOUT = "drop"
APART = timedelta(hours=1)


def ask(*, collectivite_id: str, share_id: str, person_id: str) -> None:
    """Not who has no mailbox here."""
    notices.ask(ABOUT, share_id, mailbox_of(person_id, collectivite_id), again_after=APART)


def compose(notice: Notice, mailbox: Mailbox) -> notices.Letter | None:
    """None for who has left. Errors: Unavailable."""
    if not identity.belongs(str(mailbox.person_id), mailbox.collectivite_id):
        return None
    try:
        with metadata_of(mailbox.collectivite_id).reading() as reading:
            share = shares.find_link(reading, notice.ref)
    except AbsentNode:
        return None
    context = {"name": in_order(share.label), "page": page("drive_drops", share.node)}
    return letter("Des fichiers arrivent dans votre Coffre", "drop", context)
