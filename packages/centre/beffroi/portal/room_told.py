"""A mailbox hears by mail that it fills up, while it still takes mail: a mail program shows no bar.

Process: worker. Composes mail's rows with the portal's words and addresses.
Privacy: the mail says how full the mailbox is, to that mailbox alone. Nothing of it goes to a log.
"""

from __future__ import annotations

from datetime import timedelta

from beffroi.mail.held import notices
from beffroi.mail.held.models import Notice
from beffroi.mail.models import Mailbox
from beffroi.mail.quota import queries
from beffroi.mail.quota.rules import NEARLY, SOON
from beffroi.portal import room_words
from beffroi.portal.letters import letter, page

ABOUT = "room"
APART = timedelta(days=30)
_SUBJECTS = {SOON: "Votre boîte se remplit", NEARLY: "Votre boîte est presque pleine"}


def ask_due() -> None:
    """Once for each level; a full one takes no mail, and its senders are put off."""
    for mailbox, room in queries.filling_mailboxes():
        if room.level in _SUBJECTS:
            notices.ask(ABOUT, room.level, [mailbox], again_after=APART)


def compose(notice: Notice, mailbox: Mailbox) -> notices.Letter | None:
    """None where it is emptier or fuller by now."""
    room = queries.mailbox_room(mailbox)
    if room.level != notice.ref:
        return None
    said = room_words.mailbox(room)
    context = {
        "address": mailbox.address,
        "sentence": said.sentence,
        "advice": said.advice,
        "page": page("mail_list", mailbox.id),
    }
    return letter(_SUBJECTS[room.level], "room", context)
