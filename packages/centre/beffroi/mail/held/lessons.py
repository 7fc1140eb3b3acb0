"""What people teach the filter: which mails they wanted, and which not.

Purpose: a release and an answer say "wanted"; a report and a block say "unwanted". rspamd's classifier learns the words
         of the mail (hashes, on this machine), once the time for an undo is over.
Hostile: whoever teaches. The classifier is one for all: a person teaches ``PERSON_DAY`` mails a day, each once for a
         mailbox, and a collectivité no more than its share of either kind, so that it cannot teach the others alone.
         What the classifier says never holds a mail by itself (``engines.rspamd``).
Process: whoever acts queues; remediation hands over, through doveadm and rspamd's controller.
Fails:   rspamd or Dovecot away: the lesson waits, five times at most. One that is over its share is not queued.
"""

from __future__ import annotations

import http.client
import logging
from datetime import timedelta

from django.conf import settings
from django.db.models import Q

from beffroi.core import turns
from beffroi.lib import clock
from beffroi.mail import doveadm
from beffroi.mail.doveadm import Doveadm
from beffroi.mail.engines import layout
from beffroi.mail.held.models import Lesson
from beffroi.mail.models import Mailbox

log = logging.getLogger("beffroi.mail.held")
WAIT = timedelta(minutes=10)
"""So long an undo comes before the lesson: what was learnt is not unlearnt."""
PERSON_DAY = 10
ALWAYS, SHARE = 20, 5
"""Of the lessons of one kind that are kept (30 days), a collectivité gives 20, or a fifth of them if that is more."""
BATCH, ATTEMPTS = 20, 5
_LEARNT = (200, 204, 208)
"""Learnt; judged so already, or too short; known already."""
_TIMEOUT_S = 30.0
_State = Lesson.State
_COUNTED = (_State.QUEUED, _State.TAUGHT)


def queue(*, mailbox: Mailbox, message_id: str, person_id: str, wanted: bool) -> bool:
    """Inside of the caller's transaction; return whether it is to be taught. The last word about a mail counts."""
    present = Lesson.objects.filter(mailbox_id=mailbox.id, message_id=message_id)
    if present.filter(state__in=_COUNTED, wanted=wanted).exists():
        return True
    now = clock.now()
    others = Lesson.objects.filter(state__in=_COUNTED).exclude(mailbox_id=mailbox.id, message_id=message_id)
    today = others.filter(person_id=person_id, queued_at__gt=now - timedelta(days=1)).count()
    of_kind = others.filter(wanted=wanted)
    own = of_kind.filter(collectivite_id=mailbox.collectivite_id).count()
    if today >= PERSON_DAY or own >= max(ALWAYS, of_kind.count() // SHARE):
        withdraw(mailbox_id=mailbox.id, message_id=message_id)
        return False
    Lesson.objects.update_or_create(
        mailbox_id=mailbox.id,
        message_id=message_id,
        defaults={
            "collectivite_id": mailbox.collectivite_id,
            "person_id": person_id,
            "wanted": wanted,
            "state": _State.QUEUED,
            "queued_at": now,
            "taught_at": None,
            "attempts": 0,
        },
    )
    return True


def withdraw(*, mailbox_id: str, message_id: str) -> None:
    """An undo; what was taught already stays so."""
    waiting = Q(mailbox_id=mailbox_id, message_id=message_id, state=_State.QUEUED)
    Lesson.objects.filter(waiting).update(state=_State.WITHDRAWN)


def teach() -> int:
    """Hand the lessons that waited long enough to rspamd; return how many were learnt. Errors: DoveadmUnavailable."""
    due = Lesson.objects.filter(turns.over("queued_at", clock.now(), WAIT), state=_State.QUEUED)
    taught = 0
    for lesson in due.order_by("attempts", "queued_at")[:BATCH]:
        address = Mailbox.objects.filter(pk=lesson.mailbox_id).values_list("address", flat=True).first()
        text = _text(address, lesson.message_id) if address else None
        learnt = text is not None and learn(text.encode("utf-8", "surrogateescape"), wanted=lesson.wanted)
        attempts = lesson.attempts + 1
        if learnt:
            state = _State.TAUGHT
        elif text is None or attempts >= ATTEMPTS:
            state = _State.FAILED
        else:
            state = _State.QUEUED
        # Only what is still queued as it was read: an undo, or another word, in between wins.
        Lesson.objects.filter(pk=lesson.pk, state=_State.QUEUED, queued_at=lesson.queued_at).update(
            state=state, attempts=attempts, taught_at=clock.now() if learnt else None
        )
        log.info("lesson of %s: %s", lesson.message_id, state)
        taught += learnt
    return taught


def _text(address: str, message_id: str) -> str | None:
    engine = Doveadm(settings.BEFFROI)
    commands = [doveadm.text(address, message_id, folder) for folder in ("*", engine.quarantine)]
    rows = [row for answer in engine.run(commands) for row in answer or ()]
    return rows[0].get("text") if rows else None


def learn(message: bytes, *, wanted: bool) -> bool:
    """rspamd's controller learns the whole mail; False when it did not take it."""
    port = settings.BEFFROI.rspamd_controller_port
    connection = http.client.HTTPConnection(layout.LOOPBACK, port, timeout=_TIMEOUT_S)
    try:
        connection.request("POST", "/learnham" if wanted else "/learnspam", message)
        return connection.getresponse().status in _LEARNT
    except (OSError, http.client.HTTPException) as error:
        log.warning("rspamd does not learn: %s", type(error).__name__)
        return False
    finally:
        connection.close()
