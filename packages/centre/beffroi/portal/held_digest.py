"""The digest of held mails: once a working day, at the hour its reader chose, and only for something to look at.

Purpose: names what is newly held, and again what nobody looked at for a working day.
Process: worker (timer). Composes mail's state with the portal's words and addresses.
Privacy: subjects and senders go to the mailbox for which they came, over the centre's own Postfix, and into no log.
Fails:   Postfix away: nothing is noted as told, and the next round tries again. A full mailbox is tried again later,
         and keeps no other waiting. A kill between Postfix's word and the note of it sends the same digest once more.
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils import translation

from beffroi.core.identity import limits
from beffroi.lib import clock
from beffroi.mail.held import actions, due, links, posting, queries
from beffroi.mail.held.due import Due
from beffroi.mail.held.models import HeldMail
from beffroi.mail.held.notices import Letter
from beffroi.mail.models import Mailbox
from beffroi.portal import held_words
from beffroi.portal.letters import LANGUAGE, letter, page, unlinked

log = logging.getLogger("beffroi.portal.digest")
BATCH = 25
"""Digests a round: what else the worker does waits for no more."""
REFUSED_S = 3600
"""A mailbox that is full is tried again then."""
NAMED = 100
"""Of the new ones, and of those that are brought up again: with their links, a mail of some hundred kilobytes."""


def send_due(now: datetime | None = None) -> int:
    """Send what is due; return how many. Errors: MailNotTaken."""
    local = (now or clock.now()).astimezone(clock.PLACE)
    sent = 0
    for one in due.due(local):
        if limits.used_up("digest_refused", one.mailbox.id, limit=1, window_s=REFUSED_S):
            continue
        if send(one, local):
            sent += 1
        else:
            limits.count("digest_refused", one.mailbox.id, window_s=REFUSED_S)
        if sent == BATCH:
            break
    return sent


def send(one: Due, local: datetime) -> bool:
    """False where this mailbox takes no mail. Errors: MailNotTaken."""
    with translation.override(LANGUAGE):
        said = words_of(one)
    if not posting.send(settings.BEFFROI, to=one.mailbox.address, **said._asdict()):
        return False
    actions.note_told(mailbox=one.mailbox, held_ids=[row.id for row in one.rows], on=local.date())
    log.info("digest of %s: %d new, %d again", one.mailbox.id, len(one.fresh), len(one.again))
    return True


def words_of(one: Due) -> Letter:
    count = len(one.rows)
    subject = f"{count} courriels retenus à regarder" if count > 1 else "1 courriel retenu à regarder"
    context = {
        "count": count,
        "address": one.mailbox.address,
        "parts": [
            {"again": again, "letters": [_line(one.mailbox, shown) for shown in queries.shown(rows[:NAMED])]}
            for again, rows in ((True, one.again), (False, one.fresh))
            if rows
        ],
        "more": max(0, len(one.fresh) - NAMED) + max(0, len(one.again) - NAMED),
        "list": f"{page('held_linked')}?l={links.make(one.mailbox)}",
        "page": page("held"),
        "days": links.LIFE_S // 86400,
    }
    return letter(subject, "held_digest", context)


def _line(mailbox: Mailbox, shown: queries.Shown) -> dict[str, Any]:
    return {
        "row": shown.row,
        "subject": unlinked(held_words.subject(shown)),
        "sender": unlinked(held_words.sender(shown)),
        "address": shown.heading.from_address if shown.heading.from_name else "",
        "why": unlinked(held_words.why(shown)),
        "links": _links(mailbox, shown),
    }


def _links(mailbox: Mailbox, shown: queries.Shown) -> list[tuple[str, str]]:
    """Words and address of what its owner can do about it; [] for what only the Département hands over."""
    if shown.row.strict:
        return []
    acts = [("verifier", "Demander une vérification")] if shown.by_decision else [("liberer", "Libérer")]
    if shown.row.reason == HeldMail.Reason.FILTER and shown.heading.from_address:
        acts.append(("bloquer", "Bloquer l’expéditeur"))
    text = links.make_for(shown.row, mailbox)
    return [(words, f"{page('held_link', act)}?l={text}") for act, words in acts]
