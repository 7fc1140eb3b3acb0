"""Find messages that passed unchecked while mailgate was away, and check them now.

Purpose: a delivered copy without evidence is fetched by doveadm and scanned again by rspamd under its own
         identifier; rspamd's rule tells mailgate, and a decision that holds it withdraws it as a late delivery.
Process: remediation. Bytes are passed on, never parsed here: on the mail path only rspamd parses.
Fails:   an engine away: tried again, with growing pauses, until it is settled.
"""

from __future__ import annotations

import http.client
import logging
from datetime import timedelta

from django.conf import settings
from django.db import transaction

from beffroi.lib import clock
from beffroi.lib.ids import is_id
from beffroi.mail import doveadm, journal
from beffroi.mail.doveadm import Doveadm
from beffroi.mail.engines import layout
from beffroi.mail.gate.facts import hash_of_message_id
from beffroi.mail.models import Mailbox, MailDelivery, MailMessage, PendingDelivery

log = logging.getLogger("beffroi.mail.sweep")
PATIENCE_S = 2.0
BATCH = 50
GIVE_UP = timedelta(days=7)
_TIMEOUT_S = 30.0


def sweep() -> int:
    """Work through waiting copies; return how many were settled. Errors: DoveadmUnavailable."""
    settled = 0
    for pending in PendingDelivery.objects.order_by("attempts", "id")[:BATCH]:
        if journal.settle(pending):
            settled += 1
            _unmark(pending)
        elif _due(pending):
            settled += _examine(pending)
    return settled


def _unmark(pending: PendingDelivery) -> None:
    """A copy whose evidence came late was checked late: the owner's page no longer warns of it."""
    if not pending.attempts:
        return  # the evidence was only on its way
    messages = MailMessage.objects.filter(message_id_hash=hash_of_message_id(pending.message_id))
    mailbox = Mailbox.objects.get(address=journal.base_address(pending.address))
    known = MailDelivery.objects.filter(mailbox_id=mailbox.id, message_id__in=messages.values("id"))
    Doveadm(settings.BEFFROI).run(
        [doveadm.mark_checked(mailbox.address, one) for one in known.values_list("message_id", flat=True)]
    )


def _due(pending: PendingDelivery) -> bool:
    """Evidence is usually here within a moment; after that, each look waits twice as long, an hour at most."""
    return journal.age_s(pending) > min(PATIENCE_S * float(2 ** min(pending.attempts, 11)), 3600.0)


def _examine(pending: PendingDelivery) -> bool:
    engine = Doveadm(settings.BEFFROI)
    PendingDelivery.objects.filter(pk=pending.pk).update(attempts=pending.attempts + 1)
    mailbox = Mailbox.objects.filter(address=journal.base_address(pending.address)).first()
    rows = journal.confirmed_copies(engine, pending) if mailbox else []
    if mailbox is None or not rows:
        # Moved, deleted, or withdrawn meanwhile. Looked for again for some days, then let go.
        if clock.now() - pending.first_tried_at > GIVE_UP:
            pending.delete()
        return False
    unknown = []
    for row in rows:
        beffroi_id = row["hdr.x-beffroi-id"].strip()
        if not is_id(beffroi_id, "msg"):
            continue
        if not MailMessage.objects.filter(pk=beffroi_id).exists():
            unknown.append(beffroi_id)
        elif not MailDelivery.objects.filter(message_id=beffroi_id, mailbox_id=mailbox.id).exists():
            _settle(engine, pending, mailbox, row)
            return True
    for beffroi_id in unknown:
        _rescan(engine, mailbox.address, beffroi_id)
    return False


def _settle(engine: Doveadm, pending: PendingDelivery, mailbox: Mailbox, row: dict[str, str]) -> None:
    beffroi_id = row["hdr.x-beffroi-id"].strip()
    with transaction.atomic():
        journal.record(mailbox, beffroi_id, pending.delivered_at, row.get("mailbox", "INBOX"))
        pending.delete()
    if row.get("hdr.x-beffroi-unchecked"):
        engine.run([doveadm.mark_checked(mailbox.address, beffroi_id)])


def _rescan(engine: Doveadm, address: str, beffroi_id: str) -> None:
    query = ["mailbox", "*", "header", doveadm.ID_HEADER, beffroi_id]
    answer = engine.run([("fetch", {"user": address, "field": ["text"], "query": query})])[0]
    if not answer:
        return
    connection = http.client.HTTPConnection(
        layout.LOOPBACK, settings.BEFFROI.rspamd_normal_port, timeout=_TIMEOUT_S
    )
    headers = {"Beffroi-Key": settings.BEFFROI.secret("mailgate.key").decode(), "Rcpt": address}
    try:
        connection.request("POST", "/checkv2", answer[0]["text"].encode("utf-8", "surrogateescape"), headers)
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        log.warning("rescan of %s: %s", beffroi_id, type(error).__name__)
    else:
        log.info("rescan of %s: %d", beffroi_id, status)
    finally:
        connection.close()
