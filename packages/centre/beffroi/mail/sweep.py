"""Find messages that passed unchecked while mailgate was away, and check them now.

Purpose: a delivered copy without evidence is fetched by doveadm and scanned again by rspamd under its own
         identifier; rspamd's rule tells mailgate, and a decision that holds it withdraws it as a late delivery.
         The journal names such copies at once. A copy without a line in it (disk full, a lost file) is found by its
         mark: some mailboxes a minute are searched, those known to hold unchecked copies first. What was checked and
         has no line is found by its evidence. Once a restore has put an older database in place, each mailbox is
         searched for all that came since then, its quarantine, too, of which the list of held mail is told then.
Process: remediation. Bytes are passed on, never parsed here: on the mail path only rspamd parses. Copies are fetched
         and scanned by some threads, which touch no database. Searches run beside the sweep.
Fails:   an engine away: tried again, with growing pauses, until it is settled.
"""

from __future__ import annotations

import http.client
import logging
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import batched

from django.conf import settings
from django.db import transaction
from django.db.models import F

from beffroi.core.events import outbox
from beffroi.lib import clock
from beffroi.lib.ids import is_id, made_at_s
from beffroi.mail import doveadm, journal, naming, once
from beffroi.mail.doveadm import Doveadm, Rows
from beffroi.mail.engines import layout
from beffroi.mail.gate.facts import hash_of_message_id
from beffroi.mail.models import (
    JournalPosition,
    Mailbox,
    MailDelivery,
    MailMessage,
    MailRecipient,
    PendingDelivery,
)

log = logging.getLogger("beffroi.mail.sweep")
PATIENCE_S = 2.0
WAITING, BATCH = 500, 50
"""A round: so many copies are tied to their evidence where it has come, so many are looked at in their mailboxes."""
GIVE_UP, NAMELESS_S = timedelta(days=7), 3600.0
SEARCH_MAILBOXES = 40
SEARCH_COPIES = 40
"""A round: so many mailboxes are asked, so many copies checked. The rest waits for the next round."""
UNRECORDED, RECORDED_WITHIN, MOST_AT_ONCE_S = "unrecorded", timedelta(minutes=2), 600
"""Name of the position (its offset is a time in epoch seconds), when a copy is on record at the latest, how much of the
time is looked at in a round."""
PARALLEL = 8
"""Copies that are scanned at the same time, each held in memory meanwhile (postfix: 50 MB at most)."""
ARRIVAL_TRIES, ARRIVAL_PAUSE_S = 10, 0.05
_TIMEOUT_S = 30.0
NEVER = datetime.min.replace(tzinfo=UTC) + timedelta(days=1)
SEARCHED_ANEW = "mail:searched_anew"
"""After a restore of the database: what came since is on record."""


def sweep() -> int:
    """Work through waiting copies; return how many were settled. Errors: DoveadmUnavailable."""
    waiting = list(PendingDelivery.objects.order_by("attempts", "id")[:WAITING])
    if not waiting:  # nearly each second: a transaction would hold up whoever writes
        return 0
    settled = journal.settle(waiting)
    _unmark([one for one in settled if one.attempts])  # else its evidence was only on its way
    left = {one.pk for one in waiting} - {one.pk for one in settled}
    due = [one for one in waiting if one.pk in left and _due(one)]
    return len(settled) + _examine(due[:BATCH])


def _unmark(late: Sequence[PendingDelivery]) -> None:
    """Copies whose evidence came late were checked late: their owners' pages no longer warn of them."""
    commands = []
    for pending in late:
        address = naming.base_address(pending.address)
        messages = MailMessage.objects.filter(message_id_hash=hash_of_message_id(pending.message_id))
        mailboxes = Mailbox.objects.filter(address=address)
        known = MailDelivery.objects.filter(
            mailbox_id__in=mailboxes.values("id"), message_id__in=messages.values("id")
        )
        commands += [doveadm.mark_checked(address, one) for one in known.values_list("message_id", flat=True)]
    if commands:
        Doveadm(settings.BEFFROI).run(commands)


def _due(pending: PendingDelivery) -> bool:
    """Evidence is usually here within a moment; after that, each look waits twice as long, an hour at most."""
    return journal.age_s(pending) > min(PATIENCE_S * float(2 ** min(pending.attempts, 11)), 3600.0)


def _examine(due: Sequence[PendingDelivery]) -> int:
    """Look at the copies of these in their mailboxes; return how many were settled."""
    engine = Doveadm(settings.BEFFROI)
    PendingDelivery.objects.filter(pk__in=[one.pk for one in due]).update(attempts=F("attempts") + 1)
    # By no Message-ID every mail of its mailbox would be found. Checked, it is found by its evidence, else by its mark.
    over = [one.pk for one in due if not one.message_id and journal.age_s(one) > NAMELESS_S]
    PendingDelivery.objects.filter(pk__in=over).delete()
    due = [one for one in due if one.message_id]
    found = Mailbox.objects.filter(address__in={naming.base_address(one.address) for one in due})
    mailboxes = {one.address: one for one in found}
    known = [one for one in due if naming.base_address(one.address) in mailboxes]
    answers = journal.confirmed_copies(engine, known)
    settled, unknown = 0, set[tuple[str, str]]()
    for pending in due:
        rows = answers.get(pending.pk, [])
        if not rows:
            # Moved, deleted, or withdrawn meanwhile. Looked for again for some days, then let go.
            if clock.now() - pending.first_tried_at > GIVE_UP:
                pending.delete()
            continue
        mailbox = mailboxes[naming.base_address(pending.address)]
        once.keep_one_of(engine, mailbox.address, rows)
        done, without_evidence = _judge(engine, pending, mailbox, rows)
        settled += done
        unknown.update((mailbox.address, one) for one in without_evidence)
    _rescan(engine, [(address, one, "*") for address, one in sorted(unknown)])
    return settled


def _judge(
    engine: Doveadm, pending: PendingDelivery, mailbox: Mailbox, rows: Sequence[dict[str, str]]
) -> tuple[bool, list[str]]:
    """Whether it is settled now, and which of its copies have no evidence yet."""
    unknown, known = [], 0
    for row in rows:
        beffroi_id = row["hdr.x-beffroi-id"].strip()
        if not is_id(beffroi_id, "msg"):
            continue
        if not MailMessage.objects.filter(pk=beffroi_id).exists():
            unknown.append(beffroi_id)
        elif not MailDelivery.objects.filter(message_id=beffroi_id, mailbox_id=mailbox.id).exists():
            _settle(engine, pending, mailbox, row)
            return True, []
        else:
            known += 1
    if known == len(rows):
        pending.delete()  # a search came before the journal's line: every copy is on record
        return True, []
    return False, unknown


def search() -> int:
    """Look through some mailboxes for unchecked copies that the journal does not tell of, and for all that a restored
    database does not know; return how many copies were settled.

    Errors: DoveadmUnavailable; the same mailboxes are searched again.
    """
    engine, budget = Doveadm(settings.BEFFROI), SEARCH_COPIES
    mailboxes = _next_mailboxes()
    since, restored_at = outbox.forgotten(GIVE_UP) or (NEVER, NEVER)
    anew = {m.id for m in mailboxes if (m.searched_at or NEVER) < restored_at}
    since_s = int((since - RECORDED_WITHIN).timestamp())
    groups = [
        [doveadm.saved_since(m.address, since_s, folder) for folder in ("*", engine.quarantine)]
        if m.id in anew
        else [doveadm.unchecked(m.address, GIVE_UP.days)]
        for m in mailboxes
    ]
    taken: list[tuple[Mailbox, Rows, bool]] = []
    for mailbox, answers in zip(mailboxes, engine.run_groups(groups, at_once=1), strict=True):
        if None in answers:
            continue
        rows = [row for answer in answers for row in answer or ()]
        if mailbox.id in anew:
            rows = _unknown(mailbox, rows, since_s)
        if rows and not budget:
            continue
        taken.append((mailbox, rows[:budget], len(rows) <= budget))
        budget -= len(taken[-1][1])
    missing = _without_evidence([_id_of(row) for _, rows, _ in taken for row in rows])
    lacking = [(m.address, row) for m, rows, _ in taken for row in rows if _id_of(row) in missing]
    _rescan(engine, [(address, _id_of(row), _where(engine, row)) for address, row in lacking])
    late, settled = _awaited(missing), 0
    for mailbox, rows, whole in taken:
        done = sum(_put_on_record(engine, mailbox, row) for row in rows if _id_of(row) not in {"", *late})
        settled += done
        is_over = mailbox.id not in anew or (whole and late.isdisjoint(map(_id_of, rows)))
        if whole or not done:  # else it stays first in turn, for what is left of it
            # What is not over comes again, after those that were not looked through yet.
            at = clock.now() if is_over else restored_at - timedelta(microseconds=1)
            with transaction.atomic():
                if mailbox.id in anew and is_over:
                    told = {"mailbox_id": mailbox.id, "restored_at": restored_at.isoformat()}
                    outbox.publish(SEARCHED_ANEW, told, collectivite_id=mailbox.collectivite_id)
                Mailbox.objects.filter(pk=mailbox.pk).update(searched_at=at)
    return settled


def _where(engine: Doveadm, row: dict[str, str]) -> str:
    """A folder for a query: "*" does not reach into quarantine."""
    return engine.quarantine if row.get("mailbox") == engine.quarantine else "*"


def _unknown(mailbox: Mailbox, rows: Rows, since_s: int) -> Rows:
    """Copies that came by our door since then (epoch seconds) and that are on no record."""
    came = [row for row in rows if (one := _id_of(row)) and made_at_s(one) >= since_s]
    known = set[str]()
    for ids in batched(map(_id_of, came), journal.MAX_LINES, strict=False):
        found = MailDelivery.objects.filter(mailbox_id=mailbox.id, message_id__in=ids)
        known.update(found.values_list("message_id", flat=True))
    return [row for row in came if _id_of(row) not in known]


def look_for_unrecorded() -> int:
    """Put on record what lies in mailboxes with its evidence, but without a line of the journal: Dovecot's process that
    writes it was killed. Each mail is asked for once, some minutes old; return how many copies were found.

    Errors: DoveadmUnavailable; the same mails are asked for again.
    """
    end = clock.now() - RECORDED_WITHIN
    position = JournalPosition.objects.get_or_create(
        pk=UNRECORDED, defaults={"offset_bytes": int(end.timestamp())}
    )[0]
    since = datetime.fromtimestamp(position.offset_bytes, UTC)
    until = datetime.fromtimestamp(min(int(end.timestamp()), position.offset_bytes + MOST_AT_ONCE_S), UTC)
    missing = _unrecorded(since, until)
    engine = Doveadm(settings.BEFFROI)
    folders = ("*", engine.quarantine)
    asked = [doveadm.find(box.address, one.id, folder) for one, box in missing for folder in folders]
    answers = batched(engine.run(asked), len(folders), strict=True)
    found = 0
    for (message, mailbox), rows in zip(missing, answers, strict=True):
        outside, aside = (doveadm.copies(one) for one in rows)
        if outside or aside:
            with transaction.atomic():
                folder = outside[0].folder if outside else "INBOX"
                found += journal.record(mailbox, message.id, message.received_at, folder)
    JournalPosition.objects.filter(pk=UNRECORDED).update(offset_bytes=int(until.timestamp()))
    return found


def _unrecorded(since: datetime, until: datetime) -> list[tuple[MailMessage, Mailbox]]:
    """Mails of this time and the mailboxes they were for, where no copy is on record."""
    sought = MailMessage.objects.filter(received_at__gte=since, received_at__lt=until)
    messages = sought.exclude(verdict__contains='"action":"reject"').in_bulk()
    out: list[tuple[MailMessage, Mailbox]] = []
    for ids in batched(messages, journal.MAX_LINES, strict=False):
        known = set(MailDelivery.objects.filter(message_id__in=ids).values_list("message_id", "mailbox_id"))
        rows = list(MailRecipient.objects.filter(message_id__in=ids).values_list("message_id", "address"))
        boxes = Mailbox.objects.filter(closed_at=None, address__in={address for _, address in rows})
        named = {one.address: one for one in boxes}
        out += [
            (messages[one], named[address])
            for one, address in rows
            if address in named and (one, named[address].id) not in known
        ]
    return out


def _next_mailboxes() -> list[Mailbox]:
    """Those with copies waiting unchecked, then in turn those that nobody looked at for longest."""
    # One that is searched already waits for its turn like all others, so a stuck copy does not starve them.
    recent = clock.now() - timedelta(minutes=5)
    waiting = PendingDelivery.objects.filter(attempts__gt=0).order_by("id").values_list("address", flat=True)
    addresses = {naming.base_address(a) for a in waiting[: SEARCH_MAILBOXES * 5]}
    ready = Mailbox.objects.filter(closed_at=None).exclude(ready_at=None)
    urgent = ready.filter(address__in=addresses).exclude(searched_at__gte=recent)
    found = list(urgent.order_by("id")[: SEARCH_MAILBOXES // 2])
    rest = ready.exclude(pk__in=[m.pk for m in found]).order_by(F("searched_at").asc(nulls_first=True), "id")
    return found + list(rest[: SEARCH_MAILBOXES - len(found)])


def _id_of(row: dict[str, str]) -> str:
    """Our identifier of a copy; "" where the header holds something else."""
    beffroi_id = row.get("hdr.x-beffroi-id", "").strip()
    return beffroi_id if is_id(beffroi_id, "msg") else ""


def _without_evidence(ids: Iterable[str]) -> set[str]:
    wanted = {one for one in ids if one}
    return wanted - set(MailMessage.objects.filter(pk__in=wanted).values_list("id", flat=True))


def _awaited(ids: set[str]) -> set[str]:
    """Wait a moment for the evidence of rescans on its way through mailgate's spool; return whose did not come: the
    next search finds them again."""
    for _ in range(ARRIVAL_TRIES):
        if not (ids := _without_evidence(ids)):
            break
        time.sleep(ARRIVAL_PAUSE_S)
    return ids


def _put_on_record(engine: Doveadm, mailbox: Mailbox, row: dict[str, str]) -> bool:
    """A marked copy whose evidence is here."""
    beffroi_id, saved = _id_of(row), row.get("date.saved.unixtime", "")
    at = datetime.fromtimestamp(int(saved), UTC) if saved.isdigit() else clock.now()
    with transaction.atomic():
        journal.record(mailbox, beffroi_id, at, row.get("mailbox", "INBOX"))
    engine.run([doveadm.mark_checked(mailbox.address, beffroi_id)])
    return True


def _settle(engine: Doveadm, pending: PendingDelivery, mailbox: Mailbox, row: dict[str, str]) -> None:
    beffroi_id = row["hdr.x-beffroi-id"].strip()
    with transaction.atomic():
        journal.record(mailbox, beffroi_id, pending.delivered_at, row.get("mailbox", "INBOX"))
        pending.delete()
    if row.get("hdr.x-beffroi-unchecked"):
        engine.run([doveadm.mark_checked(mailbox.address, beffroi_id)])


def _rescan(engine: Doveadm, copies: Sequence[tuple[str, str, str]]) -> None:
    """Have copies (address, identifier, folder) scanned again, some at a time: a scan mostly waits for DNS.

    Errors: DoveadmUnavailable, after the others of the batch.
    """
    if not copies:
        return
    key = settings.BEFFROI.secret("mailgate.key").decode()
    with ThreadPoolExecutor(min(PARALLEL, len(copies))) as pool:
        list(pool.map(lambda copy: _rescan_one(engine, key, *copy), copies))


def _rescan_one(engine: Doveadm, key: str, address: str, beffroi_id: str, folder: str) -> None:
    """In a thread of its own: no database here."""
    answer = engine.run([doveadm.text(address, beffroi_id, folder)])[0]
    if not answer:
        return
    connection = http.client.HTTPConnection(
        layout.LOOPBACK, settings.BEFFROI.rspamd_normal_port, timeout=_TIMEOUT_S
    )
    headers = {"Beffroi-Key": key, "Rcpt": address}
    try:
        connection.request("POST", "/checkv2", answer[0]["text"].encode("utf-8", "surrogateescape"), headers)
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        log.warning("rescan of %s: %s", beffroi_id, type(error).__name__)
    else:
        log.info("rescan of %s: %d", beffroi_id, status)
    finally:
        connection.close()
