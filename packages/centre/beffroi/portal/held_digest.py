"""The digest of held mails: once a working day, at the hour its reader chose, and only for something to look at.

Purpose: names what is newly held, and again what nobody looked at for a working day.
Process: worker (timer). Composes mail's state with the portal's words and addresses.
Privacy: subjects and senders go to the mailbox for which they came, over the centre's own Postfix, and into no log.
Fails:   Postfix away: nothing is noted as told, and the next round tries again. A kill between Postfix's word and the
         note of it sends the same digest once more.
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

from django.conf import settings
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import translation

from beffroi.lib import clock
from beffroi.mail.held import actions, due, links, posting, queries, workdays
from beffroi.mail.held.due import Due
from beffroi.portal import held_words

log = logging.getLogger("beffroi.portal.digest")
BATCH = 25
"""Digests a round: what else the worker does waits for no more."""
NAMED = 50
LANGUAGE = "fr"
"""The commune's: nobody's own is known outside of a browser."""
PORTAL_URLS = "beffroi.portal.urls_web"


def send_due(now: datetime | None = None) -> int:
    """Send what is due; return how many. Errors: MailNotTaken."""
    local = (now or clock.now()).astimezone(workdays.PLACE)
    sent = 0
    for one in due.due(local, limit=BATCH):
        send(one, local)
        sent += 1
    return sent


def send(one: Due, local: datetime) -> None:
    """Errors: MailNotTaken."""
    config, to = settings.BEFFROI, one.mailbox.address
    with translation.override(LANGUAGE):
        subject, text, html = words_of(one)
    posting.post(config, posting.compose(config, to=to, subject=subject, text=text, html=html), to)
    actions.note_told(mailbox=one.mailbox, held_ids=[row.id for row in one.rows], on=local.date())
    log.info("digest of %s: %d new, %d again", one.mailbox.id, len(one.fresh), len(one.again))


def words_of(one: Due) -> tuple[str, str, str]:
    """Subject, plain text, HTML."""
    count = len(one.rows)
    subject = f"{count} courriels retenus à regarder" if count > 1 else "1 courriel retenu à regarder"
    context = {
        "count": count,
        "address": one.mailbox.address,
        "parts": [
            {"again": again, "letters": [_line(shown) for shown in queries.shown(rows[:NAMED])]}
            for again, rows in ((True, one.again), (False, one.fresh))
            if rows
        ],
        "more": max(0, len(one.fresh) - NAMED) + max(0, len(one.again) - NAMED),
        "list": links.address(settings.BEFFROI, f"{_path('held_linked')}?l={links.make(one.mailbox)}"),
        "page": links.address(settings.BEFFROI, _path("held")),
        "days": links.LIFE_S // 86400,
    }
    text = render_to_string("file/held_digest.txt", context)
    return subject, text, render_to_string("file/held_digest.html", context)


def _path(name: str) -> str:
    return reverse(name, urlconf=PORTAL_URLS)


def _line(shown: queries.Shown) -> dict[str, Any]:
    return {
        "row": shown.row,
        "subject": held_words.subject(shown),
        "sender": held_words.sender(shown),
        "address": shown.heading.from_address if shown.heading.from_name else "",
        "why": held_words.why(shown),
        "by_decision": shown.by_decision,
        "link": links.address(settings.BEFFROI, f"{_path('held')}?courriel={shown.row.id}"),
    }
