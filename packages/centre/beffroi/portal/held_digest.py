"""The digest of held mails: once a working day, at the hour its reader chose, and only for something to look at.

Purpose: names what is newly held, and again what nobody looked at for a working day.
Process: worker (timer). Composes mail's state with the portal's words and addresses.
Privacy: subjects and senders go to the mailbox for which they came, over the centre's own Postfix, and into no log.
Fails:   as every word of the centre to a mailbox (``mail.held.notices``), and is composed anew at each try.
"""

from __future__ import annotations

import logging
from datetime import date, timedelta
from functools import partial
from typing import Any

from beffroi.lib import clock
from beffroi.mail.held import actions, due, links, notices, queries
from beffroi.mail.held.due import Due
from beffroi.mail.held.models import HeldMail, Notice
from beffroi.mail.held.notices import Letter
from beffroi.mail.models import Mailbox
from beffroi.portal import held_words
from beffroi.portal.counts import Count
from beffroi.portal.letters import letter, page, unlinked

log = logging.getLogger("beffroi.portal.digest")
ABOUT = "digest"
NAMED = 100
"""Of the new ones, and of those that are brought up again: with their links, a mail of some hundred kilobytes."""


def ask_due() -> None:
    for one in due.due(clock.now().astimezone(clock.PLACE)):
        notices.ask(ABOUT, "", [one.mailbox], again_after=timedelta())


def compose(_notice: Notice, mailbox: Mailbox) -> Letter | None:
    """None where it is not due any more: somebody looked, or the working day is over."""
    local = clock.now().astimezone(clock.PLACE)
    one = next(due.due(local, mailbox), None)
    return words_of(one)._replace(taken=partial(_note, one, local.date())) if one is not None else None


def _note(one: Due, on: date) -> None:
    actions.note_told(mailbox=one.mailbox, held_ids=[row.id for row in one.rows], on=on)
    log.info("digest of %s: %d new, %d again", one.mailbox.id, len(one.fresh), len(one.again))


def words_of(one: Due) -> Letter:
    count = len(one.rows)
    subject = f"{Count(count)} courriels retenus à regarder" if count > 1 else "1 courriel retenu à regarder"
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
