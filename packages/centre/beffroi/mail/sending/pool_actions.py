"""The writes about exits: what servers answered, the warm-up of a new address, and doubtful senders."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, timedelta

from django.db import transaction
from django.db.models import F

from beffroi.core.audit import actions as audit
from beffroi.core.events.outbox import publish
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import Conflict
from beffroi.mail.models import Mailbox
from beffroi.mail.naming import base_address
from beffroi.mail.sending import warming
from beffroi.mail.sending.models import AddressName, AnsweredSlot, Doubted, LaneDay, RefusedDay, Warming

SYSTEM = Actor.system("sending")
SPARED_DAYS = 30
POOLS = "mail:pools_changed"


def count_answers(
    lanes: Sequence[tuple[str, str, str, int]], senders: Sequence[tuple[str, int, int, int]], *, now: datetime
) -> list[Mailbox]:
    """Add what ``answers`` counted, within the transaction of its caller; return whose recipients were unknown. A
    sender with a "+detail" is the mailbox; one without a mailbox counts nowhere."""
    today = now.date()
    hour = now.replace(minute=0, second=0, microsecond=0)
    slot = hour + (now - hour) // AnsweredSlot.SLOT * AnsweredSlot.SLOT
    for exit_, provider, how, n in lanes:
        row, _ = LaneDay.objects.get_or_create(exit=exit_, provider=provider, day=today)
        rows = LaneDay.objects.filter(pk=row.pk)
        if how == "sent":
            rows.update(sent=F("sent") + n)
        else:
            rows.update(refused=F("refused") + n)
    bare = {base_address(sender) for sender, *_ in senders}
    known = {one.address: one for one in Mailbox.objects.filter(address__in=bare)}
    unknown_of = {}
    for sender, n, unknown, answered in senders:
        if (box := known.get(base_address(sender))) is None:
            continue
        part, _ = AnsweredSlot.objects.get_or_create(mailbox_id=box.id, at=slot)
        AnsweredSlot.objects.filter(pk=part.pk).update(
            answered=F("answered") + answered, unknown=F("unknown") + unknown
        )
        if unknown:
            unknown_of[box.id] = box
        if n:
            day, _ = RefusedDay.objects.get_or_create(
                mailbox_id=box.id, day=today, defaults={"collectivite_id": box.collectivite_id}
            )
            RefusedDay.objects.filter(pk=day.pk).update(count=F("count") + n)
    return list(unknown_of.values())


@transaction.atomic
def begin(*, exits: Collection[str], today: date) -> None:
    """Let warm-ups begin that are new; forget those whose exit is named no more."""
    for name in exits:
        _, made = Warming.objects.get_or_create(pk=name, defaults={"day": today})
        if made:
            _record(SYSTEM, "begun", name)
    Warming.objects.exclude(pk__in=exits).delete()


@transaction.atomic
def advance(row: Warming, *, today: date, sent: bool) -> None:
    """The next day has come; ``sent``: whether mail left on the last one, which else is not counted."""
    step = row.step + 1 if sent and row.paused_at is None and row.step < len(warming.TABLE) else row.step
    if not Warming.objects.filter(pk=row.pk, day=row.day).update(step=step, day=today):
        return
    if step == len(warming.TABLE) != row.step:
        _record(SYSTEM, "done", row.exit)


@transaction.atomic
def pause(*, actor: Actor, row: Warming, provider: str = "") -> bool:
    """Give the address no mail for now; ``provider``: who refuses, where nobody asked for it. False if it rested.

    Errors: NotFound (not the Département).
    """
    actor.require_sees_all("exit")
    by = "" if actor.id == SYSTEM.id else actor.id
    now = clock.now()
    fresh = Warming.objects.filter(pk=row.pk, paused_at=None)
    if not fresh.update(paused_at=now, paused_by=by, provider=provider):
        return False
    _record(actor, "paused", row.exit, provider=provider)
    return True


@transaction.atomic
def resume(*, actor: Actor, row: Warming) -> bool:
    """Go on, half as far where refusals had paused it. False if it did not rest. Errors: NotFound."""
    actor.require_sees_all("exit")
    step = row.step if row.paused_by else warming.resumed(row.step)
    paused = Warming.objects.filter(pk=row.pk).exclude(paused_at=None)
    # What was refused today is known: it is judged again from tomorrow on.
    tomorrow = clock.now().date() + timedelta(days=1)
    if not paused.update(paused_at=None, paused_by="", provider="", step=step, day=tomorrow):
        return False
    _record(actor, "resumed", row.exit, step=step)
    return True


@transaction.atomic
def doubt(found: Mapping[str, tuple[str, str]]) -> bool:
    """Make the list say exactly these: mailbox -> (collectivité, reasons with spaces between). What is spared stays
    so. True when somebody came or left."""
    now, changed = clock.now(), False
    rows = Doubted.objects.in_bulk()
    for mailbox_id, (collectivite_id, reasons) in found.items():
        row = rows.get(mailbox_id)
        if row is not None and row.ended_at is None:
            if row.reasons != reasons:
                Doubted.objects.filter(pk=mailbox_id).update(reasons=reasons)
            continue
        if row is not None and row.spared_until is not None and row.spared_until > now:
            continue
        Doubted.objects.update_or_create(
            pk=mailbox_id,
            defaults={
                "collectivite_id": collectivite_id,
                "reasons": reasons,
                "since_at": now,
                "ended_at": None,
                "spared_until": None,
            },
        )
        _record_doubt(SYSTEM, "doubted", mailbox_id, collectivite_id, reasons=reasons)
        changed = True
    for row in rows.values():
        if row.ended_at is None and row.mailbox_id not in found:
            Doubted.objects.filter(pk=row.pk).update(ended_at=now)
            _record_doubt(SYSTEM, "trusted", row.mailbox_id, row.collectivite_id)
            changed = True
    return changed


@transaction.atomic
def spare_mailbox(*, actor: Actor, mailbox_id: str, collectivite_id: str) -> None:
    """As ``spare``, for a mailbox that nobody doubts yet. Errors: NotFound (not the Département)."""
    actor.require_sees_all("account")
    now = clock.now()
    spared = {"ended_at": now, "spared_until": now + timedelta(days=SPARED_DAYS)}
    defaults = {"collectivite_id": collectivite_id, "reasons": "refused"}
    Doubted.objects.update_or_create(pk=mailbox_id, defaults=spared, create_defaults={**defaults, **spared})
    _record_doubt(actor, "spared", mailbox_id, collectivite_id, days=SPARED_DAYS)
    publish(POOLS, {}, collectivite_id=None)


@transaction.atomic
def spare(*, actor: Actor, row: Doubted) -> None:
    """Let this mailbox leave by the usual addresses for ``SPARED_DAYS``, whatever is counted.

    Errors: NotFound (not the Département), Conflict (it does already).
    """
    actor.require_sees_all("account")
    now = clock.now()
    spared = now + timedelta(days=SPARED_DAYS)
    if not Doubted.objects.filter(pk=row.pk, ended_at=None).update(ended_at=now, spared_until=spared):
        raise Conflict("this mailbox leaves by the usual addresses already")
    _record_doubt(actor, "spared", row.mailbox_id, row.collectivite_id, days=SPARED_DAYS)
    publish(POOLS, {}, collectivite_id=None)


@transaction.atomic
def spare_no_more(*, actor: Actor, row: Doubted) -> None:
    """Take that back: what is counted decides again. Errors: NotFound (not the Département)."""
    actor.require_sees_all("account")
    if Doubted.objects.filter(pk=row.pk, spared_until__gt=clock.now()).update(spared_until=None):
        _record_doubt(actor, "spared_no_more", row.mailbox_id, row.collectivite_id)
        publish(POOLS, {}, collectivite_id=None)


def note_name(*, address: str, helo: str, state: str) -> AddressName:
    """Keep what DNS said today of the name of an address."""
    now = clock.now()
    row, _ = AddressName.objects.get_or_create(pk=address, defaults={"helo": helo, "state": state})
    if (row.helo, row.state) != (helo, state):
        row.helo, row.state, row.since_at = helo, state, now
    row.checked_at = now
    row.save()
    return row


def forget_names(*, wanted: Collection[str]) -> None:
    AddressName.objects.exclude(pk__in=wanted).delete()


def _record(actor: Actor, word: str, name: str, **details: str | int) -> None:
    audit.record(actor, f"mail:warming:{word}", name, collectivite_id=None, details=details)
    publish(POOLS, {}, collectivite_id=None)


def _record_doubt(
    actor: Actor, word: str, mailbox_id: str, collectivite_id: str, **details: str | int
) -> None:
    audit.record(actor, f"mail:sender:{word}", mailbox_id, collectivite_id=collectivite_id, details=details)
