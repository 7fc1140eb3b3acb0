"""Send what people of the webmail wrote, once the time to call it back is over.

Purpose: the draft is fetched from its folder, handed to submission, and moved to Sent. Text and recipients are never
         in our database.
Process: webmail (a group of its own: a slow scan of one mail holds up no decision and no withdrawal).
Hostile: nothing; drafts are the owner's own.
Fails:   closed and without loss: until submission has said 250 the draft lies where it was. After a crash in between,
         the mail door's evidence tells whether the message had passed; then it is not sent again.
Source:  docs/internals/mail-engines.md.
"""

from __future__ import annotations

import json
import logging
from datetime import timedelta

from django.conf import settings

from beffroi.core import turns
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.queries import belongs
from beffroi.lib import clock
from beffroi.lib.errors import NotFound, Unavailable
from beffroi.lib.ids import is_id
from beffroi.mail import access, drafts, original, sendings, submission
from beffroi.mail.access import Access, Right
from beffroi.mail.aliases import queries as aliases
from beffroi.mail.drafts import DraftChanged, Place
from beffroi.mail.held import lessons
from beffroi.mail.models import Mailbox, MailMessage, Sending

LEASE_S = 90
"""A message that somebody began to send that long ago was left behind by a process that ended."""
FILE_AGAIN_S = 10
GIVE_UP_S = 2 * 3600
FIRST_PAUSE_S, LONGEST_PAUSE_S = 10, 300
log = logging.getLogger("beffroi.webmail")


def send_due() -> int:
    """Send what is due; return how many messages were settled."""
    take_up_what_was_left()
    return sum(_attempt(one) for one in sendings.claim())


def take_up_what_was_left() -> None:
    """What a process left behind when it ended: accepted and not filed, or of unknown fate."""
    now = clock.now()
    states = Sending.State
    unfiled = turns.over("changed_at", now, timedelta(seconds=FILE_AGAIN_S))
    for one in Sending.objects.filter(unfiled, state=states.ACCEPTED)[:20]:
        _file(one)
    left = turns.over("changed_at", now, timedelta(seconds=LEASE_S))
    for one in Sending.objects.filter(left, state=states.SENDING)[:20]:
        if _passed_the_door(one):
            sendings.accepted(one)
            _file(one)
        else:
            _refused(one, submission.Refused("unreachable", again=True))


def _passed_the_door(sending: Sending) -> bool:
    """In the attempt that was left behind: what a former one showed to the door had been refused later on."""
    found = MailMessage.objects.filter(
        message_id_hash=sending.message_id_hash, received_at__gte=sending.changed_at
    )
    return any(json.loads(one.verdict or "{}").get("action") != "reject" for one in found)


def _attempt(sending: Sending) -> bool:
    """Whether it was settled."""
    opened = _opened(sending)
    if opened is None:
        sendings.settle(sending, reason="closed")
        return True
    config = settings.BEFFROI
    try:
        with access.open_drafts(config, opened) as folder:
            message, envelope = folder.message(_place(sending))
        sender = original.envelope_sender(envelope).lower() or opened.address
        if sender != opened.address and not aliases.may_write_as(opened.mailbox, sender):
            raise submission.Refused("sender")  # the alias was ended meanwhile
        submission.submit(
            config,
            opened.address,
            original.envelope_recipients(envelope),
            submission.without_private_fields(message),
            sender=sender,
        )
    except DraftChanged:
        sendings.settle(sending, reason="changed")
        return True
    except submission.Refused as refusal:
        return _refused(sending, _but_for_new_ones(refusal))
    except Unavailable:
        return _refused(sending, submission.Refused("unreachable", again=True))
    sendings.accepted(sending)
    _file(sending)
    _mark(opened, submission.source_of(message), sending.person_id)
    return True


def _mark(opened: Access, source: str, person_id: str) -> None:
    """Mark what was answered, as far as whoever wrote may see it; a mark that is missing is no fault. What is answered
    was wanted: the filter learns it."""
    if not source:
        return
    try:
        with access.open_drafts(settings.BEFFROI, opened) as folder:
            answered = folder.mark_source(source)
    except Unavailable:
        return
    if is_id(answered, "msg"):
        lessons.queue(mailbox=opened.mailbox, message_id=answered, person_id=person_id, wanted=True)


def _file(sending: Sending) -> None:
    """Move the draft to Sent, also when whoever wrote it is out of the mailbox by now. Without Dovecot it is done
    later; a draft that is gone is no reason to wait."""
    mailbox = Mailbox.objects.filter(pk=sending.mailbox_id, closed_at=None).first()
    try:
        if mailbox is not None:
            with drafts.open_drafts(settings.BEFFROI, mailbox.address) as folder:
                folder.file_as_sent(_place(sending))
    except DraftChanged:
        log.warning("a draft was changed while it was sent; it stays among the drafts")
    except Unavailable:
        return
    sendings.settle(sending)


def _but_for_new_ones(refusal: submission.Refused) -> submission.Refused:
    """Postfix knows a mailbox that was made just now once Dovecot opens it: until then it is only early."""
    if refusal.reason != "recipient":
        return refusal
    asked = {one.lower(): one for one in refusal.addresses}
    new = Mailbox.objects.filter(address__in=asked, closed_at=None, ready_at=None).values_list(
        "address", flat=True
    )
    unknown = [one for address, one in asked.items() if address not in set(new)]
    return submission.Refused("recipient", again=not unknown, addresses=unknown or refusal.addresses)


def _place(sending: Sending) -> Place:
    return Place(sending.uid_validity, sending.uid)


def _refused(sending: Sending, refusal: submission.Refused) -> bool:
    over = clock.now() - sending.created_at > timedelta(seconds=GIVE_UP_S)
    log.warning("a message was not taken: %s", refusal.reason)
    if refusal.again and not over:
        sendings.put_off(sending, min(LONGEST_PAUSE_S, FIRST_PAUSE_S * (1 << min(sending.attempts, 8))))
        return False
    sendings.settle(sending, reason=refusal.reason, refused=refusal.addresses)
    return True


def _opened(sending: Sending) -> Access | None:
    """The mailbox, if this person may still send from it."""
    member = belongs(sending.person_id, sending.collectivite_id)
    if not member:
        return None
    try:
        actor = Actor("person", sending.person_id, sending.collectivite_id)
        return access.access(actor, sending.mailbox_id, Right.ANSWER)
    except NotFound:
        return None
