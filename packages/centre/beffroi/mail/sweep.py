"""Find messages that passed unchecked while mailgate was away, and check them now.

Purpose: a delivered copy without evidence is fetched by doveadm and scanned again by rspamd under its own
         identifier; rspamd's rule tells mailgate, and a decision that holds it withdraws it as a late delivery.
         The journal names such copies at once. A copy without a line in it (disk full, a lost file) is found by its
         mark: some mailboxes a minute are searched, those known to hold unchecked copies first.
Process: remediation. Bytes are passed on, never parsed here: on the mail path only rspamd parses.
Fails:   an engine away: tried again, with growing pauses, until it is settled.
"""

from __future__ import annotations

import http.client
import logging
import time
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F

from beffroi.lib import clock
from beffroi.lib.ids import is_id
from beffroi.mail import doveadm, journal, once
from beffroi.mail.doveadm import Doveadm
from beffroi.mail.engines import layout
from beffroi.mail.gate.facts import hash_of_message_id
from beffroi.mail.models import Mailbox, MailDelivery, MailMessage, PendingDelivery

log = logging.getLogger("beffroi.mail.sweep")
PATIENCE_S = 2.0
BATCH = 50
GIVE_UP = timedelta(days=7)
SEARCH_MAILBOXES = 40
SEARCH_COPIES = 40
"""A round: so many mailboxes are asked, so many copies checked. The rest waits for the next round."""
ARRIVAL_TRIES, ARRIVAL_PAUSE_S = 10, 0.05
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
    once.keep_one_of(engine, mailbox.address, rows)
    unknown, known = [], 0
    for row in rows:
        beffroi_id = row["hdr.x-beffroi-id"].strip()
        if not is_id(beffroi_id, "msg"):
            continue
        if not MailMessage.objects.filter(pk=beffroi_id).exists():
            unknown.append(beffroi_id)
        elif not MailDelivery.objects.filter(message_id=beffroi_id, mailbox_id=mailbox.id).exists():
            _settle(engine, pending, mailbox, row)
            return True
        else:
            known += 1
    for beffroi_id in unknown:
        _rescan(engine, mailbox.address, beffroi_id)
    if known == len(rows):
        pending.delete()  # a search came before the journal's line: every copy is on record
        return True
    return False


def search() -> int:
    """Look through some mailboxes for unchecked copies that the journal does not tell of; return how many copies
    were settled. Errors: DoveadmUnavailable; the same mailboxes are searched again."""
    engine, settled, budget = Doveadm(settings.BEFFROI), 0, SEARCH_COPIES
    mailboxes = _next_mailboxes()
    answers = engine.run([doveadm.unchecked(m.address, GIVE_UP.days) for m in mailboxes])
    for mailbox, rows in zip(mailboxes, answers, strict=True):
        if rows is None or (rows and not budget):
            continue
        taken = rows[:budget]
        budget -= len(taken)
        done = sum(_check_copy(engine, mailbox, row) for row in taken)
        settled += done
        if len(taken) == len(rows) or not done:  # else it stays first in turn, for what is left of it
            Mailbox.objects.filter(pk=mailbox.pk).update(searched_at=clock.now())
    return settled


def _next_mailboxes() -> list[Mailbox]:
    """Those with copies waiting unchecked, then in turn those that nobody looked at for longest."""
    # One that is searched already waits for its turn like all others, so a stuck copy does not starve them.
    recent = clock.now() - timedelta(minutes=5)
    waiting = PendingDelivery.objects.filter(attempts__gt=0).order_by("id").values_list("address", flat=True)
    addresses = {journal.base_address(a) for a in waiting[: SEARCH_MAILBOXES * 5]}
    ready = Mailbox.objects.filter(closed_at=None).exclude(ready_at=None)
    urgent = ready.filter(address__in=addresses).exclude(searched_at__gte=recent)
    found = list(urgent.order_by("id")[: SEARCH_MAILBOXES // 2])
    rest = ready.exclude(pk__in=[m.pk for m in found]).order_by(F("searched_at").asc(nulls_first=True), "id")
    return found + list(rest[: SEARCH_MAILBOXES - len(found)])


def _check_copy(engine: Doveadm, mailbox: Mailbox, row: dict[str, str]) -> bool:
    """Scan one marked copy, or put it on record when its evidence is here; True when that is done."""
    beffroi_id = row.get("hdr.x-beffroi-id", "").strip()
    if not is_id(beffroi_id, "msg"):
        return False
    if not MailMessage.objects.filter(pk=beffroi_id).exists():
        _rescan(engine, mailbox.address, beffroi_id)
        if not _arrives(beffroi_id):
            return False  # the next search finds it again
    saved = row.get("date.saved.unixtime", "")
    at = datetime.fromtimestamp(int(saved), UTC) if saved.isdigit() else clock.now()
    with transaction.atomic():
        journal.record(mailbox, beffroi_id, at, row.get("mailbox", "INBOX"))
    engine.run([doveadm.mark_checked(mailbox.address, beffroi_id)])
    return True


def _arrives(beffroi_id: str) -> bool:
    """Wait a moment for the evidence of a rescan on its way through mailgate's spool."""
    for _ in range(ARRIVAL_TRIES):
        if MailMessage.objects.filter(pk=beffroi_id).exists():
            return True
        time.sleep(ARRIVAL_PAUSE_S)
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
