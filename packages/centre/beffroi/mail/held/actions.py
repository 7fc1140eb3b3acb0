"""The only writes about held mail. Each is one transaction: change, audit row, outbox event; the engines follow.

Rule:    what an active decision holds is not released by one person: they ask the Département to look again.
Privacy: the sender's address stands on the erasable side of the audit log; the subject nowhere.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date

from django.conf import settings
from django.db import transaction

from beffroi.core.audit import actions as audit
from beffroi.core.decisions import appeals
from beffroi.core.events import outbox
from beffroi.core.events.outbox import publish
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, Invalid, existing
from beffroi.mail import holding
from beffroi.mail import queries as mail
from beffroi.mail.held import heading, lessons, queries, senders, workdays
from beffroi.mail.held.models import Digest, HeldMail, SenderRule
from beffroi.mail.models import Mailbox, MailMessage

SYSTEM = Actor.system("mail.held")
PLACED = ("mail:held_released", "mail:held_undone")
"""Events after which a copy may lie in the wrong folder."""
_State, _Reason = HeldMail.State, HeldMail.Reason
DIGEST_MINUTES = range(6 * 60, 20 * 60 + 1, 30)


class HeldByDecision(Conflict):
    """A decision holds this mail; ask the Département to look at it again."""

    code = "mail.held_by_decision"


class HeldForProgram(Conflict):
    """What is attached may run by itself; ask the sender for another file, or the Département."""

    code = "mail.held_for_program"


@transaction.atomic
def hold(
    *,
    mailbox: Mailbox,
    message_id: str,
    reason: str,
    found: heading.Heading,
    decision_id: str = "",
    findings: str = "",
) -> HeldMail:
    """The centre keeps a copy back, or holds it for another reason than before."""
    outbox.serialise()
    now = clock.now()
    sealed = heading.seal(settings.BEFFROI, mailbox.collectivite_id, message_id, found)
    row, _ = HeldMail.objects.update_or_create(
        mailbox_id=mailbox.id,
        message_id=message_id,
        defaults={
            "collectivite_id": mailbox.collectivite_id,
            "reason": reason,
            "decision_id": decision_id,
            "findings": findings,
            "appeal_id": "",
            "state": _State.HELD,
            "sealed": sealed,
            "held_at": now,
            "overdue_at": workdays.one_later(now),
            "seen_at": None,
            "told_at": None,
            "changed_at": now,
        },
    )
    _tell(SYSTEM, "held", row, {"reason": reason, "decision_id": decision_id, "findings": findings})
    return row


@transaction.atomic
def let_go(*, row: HeldMail, state: str) -> bool:
    """A decision's end gave it back (RETURNED), or its owner took it away by themselves (GONE)."""
    if not _change(row, state):
        return False
    _tell(SYSTEM, state, row)
    return True


@transaction.atomic
def release(*, actor: Actor, held_id: str) -> HeldMail:
    """To the inbox; this sender's mail stays out of Junk from now on, and the filter learns. What was held for its
    content says nothing about the sender's other mail.

    Errors: NotFound, HeldByDecision, HeldForProgram, Conflict (not held any more).
    """
    outbox.serialise()
    row = queries.access_held(actor, held_id)
    if holding.holding(row.message_id, row.collectivite_id) or queries.decision_in_force(row):
        raise HeldByDecision
    if row.strict:
        raise HeldForProgram
    if not _change(row, _State.RELEASED):
        raise Conflict("this mail is not held any more")
    if row.reason == _Reason.CONTENT:
        _tell(actor, "released", row, {"findings": row.findings})
        return row
    HeldMail.objects.filter(pk=row.pk).update(reason=_Reason.FILTER)  # taken back, it goes to Junk
    sender = _sender(row)
    if sender:
        _put_rule(actor, row, sender, SenderRule.Verdict.ALLOW)
    _teach(actor, row, wanted=True)
    _tell(actor, "released", row, personal={"sender": sender})
    return row


@transaction.atomic
def block_sender(*, actor: Actor, held_id: str) -> HeldMail:
    """This sender's mail goes to Junk from now on; the mail itself stays there, and the filter learns.

    Errors: NotFound, Invalid (no sender is shown), HeldByDecision, Conflict (not held any more).
    """
    outbox.serialise()
    row = queries.access_held(actor, held_id)
    if row.reason in (_Reason.DECISION, _Reason.CONTENT):
        raise HeldByDecision
    sender = _sender(row)
    if not sender:
        raise Invalid("sender")
    if not _change(row, _State.BLOCKED):
        raise Conflict("this mail is not held any more")
    _put_rule(actor, row, sender, SenderRule.Verdict.BLOCK)
    if row.reason == _Reason.FILTER:  # the filter set it aside, and its owner agrees
        _teach(actor, row, wanted=False)
    _tell(actor, "blocked", row, personal={"sender": sender})
    return row


@transaction.atomic
def hand_over(*, actor: Actor, held_id: str) -> HeldMail:
    """The Département gives a mail whose attachment it had looked at by other means. Errors: NotFound, HeldByDecision,
    Conflict (not held for its content)."""
    outbox.serialise()
    row = existing(actor.departement(HeldMail.objects.filter(pk=held_id)).first(), "held mail")
    if holding.holding(row.message_id, row.collectivite_id):
        raise HeldByDecision
    if row.reason != _Reason.CONTENT or not _change(row, _State.RELEASED):
        raise Conflict("this mail is not held for its content")
    _tell(actor, "released", row, {"findings": row.findings})
    return row


@transaction.atomic
def undo(*, actor: Actor, held_id: str) -> HeldMail:
    """Take a release or a block back: held as before, and the rule in force before is so again.

    Errors: NotFound, Conflict (nothing to take back).
    """
    outbox.serialise()
    row = queries.access_held(actor, held_id)
    before = row.state
    if before not in (_State.RELEASED, _State.BLOCKED) or not _change(row, _State.HELD, before):
        raise Conflict("there is nothing to take back")
    made = SenderRule.objects.filter(held_id=row.id).order_by("-created_at", "-id").first()
    if made is not None:
        # A later word stands; taken back as well, it gives way to the one before this.
        SenderRule.objects.filter(replaces=made.id).update(replaces=made.replaces)
        if SenderRule.objects.filter(pk=made.pk, ended_at=None).update(ended_at=clock.now()):
            SenderRule.objects.filter(pk=made.replaces).update(ended_at=None)
    lessons.withdraw(mailbox_id=row.mailbox_id, message_id=row.message_id)
    _tell(actor, "undone", row, {"was": before})
    return row


@transaction.atomic
def ask_review(*, actor: Actor, held_id: str, text: str) -> HeldMail:
    """The Département looks again at the decision that holds it; of the mail it learns nothing.

    Errors: NotFound, Conflict (no decision holds it any more), Invalid (text), NotAllowed.
    """
    outbox.serialise()
    row = queries.access_held(actor, held_id)
    if row.reason != _Reason.DECISION or row.state != _State.HELD:
        raise Conflict("no decision holds this mail")
    asked = appeals.appeal(actor=actor, decision_id=row.decision_id, text=text)
    HeldMail.objects.filter(pk=row.pk).update(appeal_id=asked.id, seen_at=row.seen_at or clock.now())
    row.refresh_from_db()
    _tell(actor, "review_asked", row, {"appeal_id": asked.id})
    return row


@transaction.atomic
def mark_seen(*, actor: Actor, mailbox: Mailbox, held_ids: Collection[str]) -> int:
    """The owner had these before their eyes; return how many were new. Errors: NotFound (another's mailbox)."""
    mail.access_mailbox(actor, mailbox.id)
    rows = HeldMail.objects.filter(mailbox_id=mailbox.id, pk__in=held_ids, seen_at=None, state=_State.HELD)
    count = rows.update(seen_at=clock.now())
    if count:
        _tell_mailbox(actor, "seen", mailbox, {"count": count})
    return count


@transaction.atomic
def set_digest_time(*, actor: Actor, mailbox: Mailbox, at_minute: int) -> None:
    """``at_minute``: one of ``DIGEST_MINUTES``, minutes after midnight. Errors: NotFound, Invalid."""
    mail.access_mailbox(actor, mailbox.id)
    if at_minute not in DIGEST_MINUTES:
        raise Invalid("at_minute")
    Digest.objects.update_or_create(
        pk=mailbox.id,
        defaults={"at_minute": at_minute},
        create_defaults={"at_minute": at_minute, "collectivite_id": mailbox.collectivite_id},
    )
    _tell_mailbox(actor, "digest_time", mailbox, {"at_minute": at_minute})


@transaction.atomic
def note_told(*, mailbox: Mailbox, held_ids: Collection[str], on: date) -> None:
    """A digest that names these was handed to Postfix."""
    HeldMail.objects.filter(mailbox_id=mailbox.id, pk__in=held_ids).update(told_at=clock.now())
    Digest.objects.update_or_create(
        pk=mailbox.id,
        defaults={"sent_on": on},
        create_defaults={"sent_on": on, "collectivite_id": mailbox.collectivite_id},
    )
    _tell_mailbox(SYSTEM, "told", mailbox, {"count": len(held_ids)})


def _change(row: HeldMail, state: str, before: str = _State.HELD) -> bool:
    now = clock.now()
    if not HeldMail.objects.filter(pk=row.pk, state=before).update(state=state, changed_at=now):
        return False
    if state in (_State.RELEASED, _State.BLOCKED):  # who decides about it has seen it
        HeldMail.objects.filter(pk=row.pk, seen_at=None).update(seen_at=now)
    row.refresh_from_db()
    return True


def _teach(actor: Actor, row: HeldMail, *, wanted: bool) -> None:
    mailbox = Mailbox.objects.get(pk=row.mailbox_id)
    lessons.queue(mailbox=mailbox, message_id=row.message_id, person_id=actor.id, wanted=wanted)


def _sender(row: HeldMail) -> str:
    opener = heading.Opener(settings.BEFFROI)
    return opener.open(row.collectivite_id, row.message_id, row.sealed).from_address


def _put_rule(actor: Actor, row: HeldMail, address: str, verdict: str) -> None:
    present = SenderRule.objects.filter(mailbox_id=row.mailbox_id, address=address, ended_at=None).first()
    if present is not None:
        SenderRule.objects.filter(pk=present.pk).update(ended_at=clock.now())
    message = MailMessage.objects.filter(pk=row.message_id).first()
    auth = mail.verdict_of(message).get("auth", {}) if message is not None else {}
    SenderRule.objects.create(
        mailbox_id=row.mailbox_id,
        collectivite_id=row.collectivite_id,
        address=address,
        verdict=verdict,
        needs_proof=auth.get("dmarc") == "pass",
        network=senders.network_of(message.client_ip) if message is not None else "",
        held_id=row.id,
        replaces=present.id if present is not None else "",
        created_by=actor.id,
    )


def _tell(
    actor: Actor,
    what: str,
    row: HeldMail,
    details: dict[str, str | int] | None = None,
    personal: dict[str, str] | None = None,
) -> None:
    audit.record_of(
        actor, f"mail:held:{what}", row, {"mailbox_id": row.mailbox_id, **(details or {})}, personal=personal
    )
    publish(
        f"mail:held_{what}",
        {"held_id": row.id, "mailbox_id": row.mailbox_id},
        collectivite_id=row.collectivite_id,
    )


def _tell_mailbox(actor: Actor, what: str, mailbox: Mailbox, details: dict[str, str | int]) -> None:
    audit.record_of(actor, f"mail:held:{what}", mailbox, details)
    publish(f"mail:held_{what}", {"mailbox_id": mailbox.id}, collectivite_id=mailbox.collectivite_id)
