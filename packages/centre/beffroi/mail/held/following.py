"""What is held follows deliveries and withdrawals, and copies follow what their owner said.

Purpose: a delivered mail that the filter set aside goes on the list, or to the inbox where its owner lets that sender
         through; one of a blocked sender goes to Junk; what a decision withdrew goes on the list and off it again.
Process: remediation, through doveadm. Each step reads the present row, so that the last word of the owner wins.
Hostile: the sender of a mail. Who is let through is known by the visible From and by how the released mail came
         (``senders``). A decision is stronger than any such word.
Fails:   Dovecot away: DoveadmUnavailable, the event is tried again. Nothing here deletes a mail.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from beffroi.lib import clock
from beffroi.lib.ids import is_id
from beffroi.mail import doveadm, holding, queries
from beffroi.mail.doveadm import Command, Doveadm
from beffroi.mail.held import actions, heading, senders
from beffroi.mail.held.models import HeldMail, SenderRule
from beffroi.mail.models import Mailbox, MailMessage, MailObservation, RemediationItem, RemediationJob

INBOX, JUNK = "INBOX", "Junk"
LISTED_AT_ONCE = 100
"""Copies of a withdrawal: then other decisions have their turn."""
LOOK_MAILBOXES, LOOK_AFTER = 40, timedelta(minutes=30)
_State, _Reason, _Verdict = HeldMail.State, HeldMail.Reason, SenderRule.Verdict
_Item, _Direction = RemediationItem.State, RemediationJob.Direction


def fetch(address: str, message_id: str, folder: str = "*") -> Command:
    """Copies of a message ("": of all) with sender and subject; "*" does not reach into quarantine."""
    query = ["mailbox", folder, "header", doveadm.ID_HEADER, message_id]
    return "fetch", {
        "user": address,
        "field": ["mailbox", "hdr.x-beffroi-id", *heading.FIELDS],
        "query": query,
    }


def delivered(copies: Sequence[tuple[str, str]]) -> list[HeldMail]:
    """Copies (message, mailbox) were saved: hold them, or let them through. Errors: DoveadmUnavailable."""
    messages = MailMessage.objects.in_bulk({message_id for message_id, _ in copies})
    rules = SenderRule.objects.filter(verdict=_Verdict.BLOCK, ended_at=None)
    blocking = set(
        rules.filter(mailbox_id__in={one for _, one in copies}).values_list("mailbox_id", flat=True)
    )
    held = []
    for message_id, mailbox_id in copies:
        message = messages.get(message_id)
        if message is None:
            continue
        blocked = mailbox_id in blocking and _blocked(mailbox_id, message_id)
        verdict = queries.verdict_of(message)
        if verdict.get("action") == "quarantine" or verdict.get("spam") or blocked:
            held.append(_delivered(message, verdict, mailbox_id))
    return [one for one in held if one is not None]


def _delivered(message: MailMessage, verdict: dict[str, Any], mailbox_id: str) -> HeldMail | None:
    message_id = message.id
    decided, aside = verdict.get("action") == "quarantine", bool(verdict.get("spam"))
    mailbox = Mailbox.objects.filter(pk=mailbox_id).first()
    if mailbox is None:
        return None
    known = HeldMail.objects.filter(mailbox_id=mailbox_id, message_id=message_id).first()
    if known is not None:  # run again, after a kill
        place(known.id)
        return known
    if decided and not verdict.get("decision_id"):
        return _for_content(mailbox, message_id, " ".join(queries.findings(message_id)))
    if decided:
        return _quarantined(mailbox, message_id, str(verdict.get("decision_id", "")))
    engine = Doveadm(settings.BEFFROI)
    source = JUNK if aside else "*"  # a filter of the owner's may have filed it
    rows = engine.run([fetch(mailbox.address, message_id, source)])[0]
    if not rows:
        return None  # withdrawn by a decision, or moved by its owner meanwhile
    found = heading.read(rows[0])
    rule = SenderRule.objects.filter(mailbox_id=mailbox.id, address=found.from_address, ended_at=None).first()
    if aside and rule is not None and rule.verdict == _Verdict.ALLOW:
        dmarc = str(verdict.get("auth", {}).get("dmarc", "none"))
        theirs = senders.is_the_same(
            dmarc=dmarc, client=message.client_ip, needs_proof=rule.needs_proof, network=rule.network
        )
        if theirs and not holding.holding(message_id, mailbox.collectivite_id):
            engine.run([doveadm.move(mailbox.address, message_id, JUNK, INBOX)])
            return None
    blocked = rule is not None and rule.verdict == _Verdict.BLOCK
    if not aside and not blocked:
        return None  # the envelope named the blocked one, the mail itself does not
    reason = _Reason.SENDER_BLOCKED if blocked else _Reason.FILTER
    row = actions.hold(mailbox=mailbox, message_id=message_id, reason=reason, found=found)
    if not aside:
        place(row.id)  # on the list first: after a kill in between, nothing lies unlisted in Junk
    return row


def _quarantined(mailbox: Mailbox, message_id: str, decision_id: str) -> HeldMail | None:
    """Set aside at entry by a decision."""
    engine = Doveadm(settings.BEFFROI)
    rows = engine.run([fetch(mailbox.address, message_id, engine.quarantine)])[0]
    if not rows:
        return None
    return actions.hold(
        mailbox=mailbox,
        message_id=message_id,
        reason=_Reason.DECISION,
        found=heading.read(rows[0]),
        decision_id=decision_id,
    )


def _for_content(mailbox: Mailbox, message_id: str, findings: str) -> HeldMail | None:
    """Held at entry for what is attached to it, or found so by the sweep in a mail that passed unchecked."""
    engine = Doveadm(settings.BEFFROI)
    commands = [fetch(mailbox.address, message_id, engine.quarantine), fetch(mailbox.address, message_id)]
    rows = [row for answer in engine.run(commands) for row in answer or ()]
    if not rows:
        return None
    row = actions.hold(
        mailbox=mailbox,
        message_id=message_id,
        reason=_Reason.CONTENT,
        found=heading.read(rows[0]),
        findings=findings,
    )
    place(row.id)
    return row


def _blocked(mailbox_id: str, message_id: str) -> bool:
    """Whether a sender that this mailbox blocks is among those that the entry saw."""
    rules = SenderRule.objects.filter(mailbox_id=mailbox_id, verdict=_Verdict.BLOCK, ended_at=None)
    seen = MailObservation.objects.filter(message_id=message_id, kind="sender", role="sender")
    return rules.filter(address__in=seen.values("value")).exists()


def place(held_id: str) -> None:
    """Put the copy where its owner's last word wants it. Errors: DoveadmUnavailable."""
    row = HeldMail.objects.filter(pk=held_id).exclude(reason=_Reason.DECISION).first()
    mailbox = Mailbox.objects.filter(pk=row.mailbox_id).first() if row is not None else None
    if row is None or mailbox is None:
        return
    engine, address, message_id = Doveadm(settings.BEFFROI), mailbox.address, row.message_id
    if row.state == _State.RELEASED:
        sources = [JUNK]
        if not holding.holding(message_id, row.collectivite_id):
            sources.append(engine.quarantine)  # its decision ended, and nothing gave it back
        engine.run([doveadm.move(address, message_id, source, INBOX) for source in sources])
    elif row.state in (_State.HELD, _State.BLOCKED):
        home = engine.quarantine if row.reason == _Reason.CONTENT else JUNK
        there = doveadm.copies(engine.run([doveadm.find(address, message_id)])[0])
        folders = dict.fromkeys(one.folder for one in there if one.folder != home)
        engine.run([doveadm.move(address, message_id, folder, home) for folder in folders])


def follow_job(job_id: str, after: int = 0) -> int | None:
    """A withdrawal or a return is through: put its copies on the list, or take them off.

    ``LISTED_AT_ONCE`` of them, from the item behind ``after`` on; return the last of these, None when none is left.
    Errors: DoveadmUnavailable.
    """
    job = RemediationJob.objects.get(pk=job_id)
    items = list(job.items.filter(pk__gt=after).order_by("id")[:LISTED_AT_ONCE])
    if job.direction == _Direction.RESTORE:
        _given_back(items)
    else:
        _withdrawn(job, items)
    return items[-1].pk if len(items) == LISTED_AT_ONCE else None


def _withdrawn(job: RemediationJob, items: Sequence[RemediationItem]) -> None:
    known = HeldMail.objects.filter(state=_State.HELD, reason=_Reason.DECISION)
    listed = set(
        known.filter(message_id__in={one.message_id for one in items}).values_list("message_id", "mailbox_id")
    )
    mailboxes = Mailbox.objects.in_bulk({one.mailbox_id for one in items})
    new = [
        one
        for one in items
        if one.state in (_Item.MOVED, _Item.KEPT)
        and (one.message_id, one.mailbox_id) not in listed
        and one.mailbox_id in mailboxes
    ]
    engine = Doveadm(settings.BEFFROI)
    answers = engine.run(
        [fetch(mailboxes[one.mailbox_id].address, one.message_id, engine.quarantine) for one in new]
    )
    with transaction.atomic():  # one flush of the disk for all
        for item, rows in zip(new, answers, strict=True):
            if rows:
                actions.hold(
                    mailbox=mailboxes[item.mailbox_id],
                    message_id=item.message_id,
                    reason=_Reason.DECISION,
                    found=heading.read(rows[0]),
                    decision_id=job.decision_id,
                )


def list_quarantine(mailbox_id: str, restored_at: datetime) -> int:
    """After a restore of the database: put on the list what lies in quarantine and is not on it, and return how many.

    What was withdrawn since by a decision that is not known any more is its owner's to release.
    Errors: DoveadmUnavailable.
    """
    mailbox = Mailbox.objects.filter(pk=mailbox_id, closed_at=None).first()
    if mailbox is None:
        return 0
    engine = Doveadm(settings.BEFFROI)
    rows = engine.run([fetch(mailbox.address, "", engine.quarantine)])[0]
    inside = {row.get("hdr.x-beffroi-id", "").strip(): row for row in rows or ()}
    # What was said of one since the restore is the last word: its copy is on its way.
    listed = HeldMail.objects.filter(
        Q(state=_State.HELD) | Q(changed_at__gte=restored_at), mailbox_id=mailbox.id
    )
    new = {one for one in inside if is_id(one, "msg")} - set(listed.values_list("message_id", flat=True))
    with transaction.atomic():
        for message_id in sorted(new):
            findings = queries.findings(message_id)
            decided = holding.holding(message_id, mailbox.collectivite_id)
            actions.hold(
                mailbox=mailbox,
                message_id=message_id,
                reason=_Reason.DECISION if decided or not findings else _Reason.CONTENT,
                found=heading.read(inside[message_id]),
                decision_id=decided[0].id if decided else "",
                findings="" if decided else " ".join(findings),
            )
    return len(new)


def _given_back(items: Sequence[RemediationItem]) -> None:
    """What went back to Junk is the filter's again; what another decision holds changes its reason only."""
    for item in items:
        if item.state == _Item.FAILED:
            continue  # it lies in quarantine, as far as anybody knows: its owner may release it from the list
        row = HeldMail.objects.filter(
            message_id=item.message_id, mailbox_id=item.mailbox_id, state=_State.HELD, reason=_Reason.DECISION
        ).first()
        mailbox = Mailbox.objects.filter(pk=item.mailbox_id).first()
        if row is None or mailbox is None:
            continue
        if item.state == _Item.KEPT:
            others = holding.holding(item.message_id, item.collectivite_id)
            if others:
                HeldMail.objects.filter(pk=row.pk).update(decision_id=others[0].id)
            elif findings := queries.findings(item.message_id):
                # The decision is over, what the door found is not.
                found = heading.Opener(settings.BEFFROI).open(row.collectivite_id, row.message_id, row.sealed)
                actions.hold(
                    mailbox=mailbox,
                    message_id=row.message_id,
                    reason=_Reason.CONTENT,
                    found=found,
                    findings=" ".join(findings),
                )
            # Else the other one ended since: its own return takes the mail off the list.
        elif item.state == _Item.ABSENT or item.folder != JUNK:
            actions.let_go(row=row, state=_State.RETURNED)
        else:
            opener = heading.Opener(settings.BEFFROI)
            found = opener.open(row.collectivite_id, row.message_id, row.sealed)
            actions.hold(mailbox=mailbox, message_id=row.message_id, reason=_Reason.FILTER, found=found)


def look() -> int:
    """Take off the list what owners moved or deleted in another program; return how many.

    Errors: DoveadmUnavailable.
    """
    before = clock.now() - LOOK_AFTER
    opened = Mailbox.objects.filter(closed_at=None)
    rows = HeldMail.objects.filter(
        state=_State.HELD, changed_at__lt=before, mailbox_id__in=opened.values("id")
    ).exclude(reason__in=(_Reason.DECISION, _Reason.CONTENT))
    ids = list(rows.order_by("changed_at").values_list("mailbox_id", flat=True)[: LOOK_MAILBOXES * 5])
    chosen = list(dict.fromkeys(ids))[:LOOK_MAILBOXES]
    mailboxes = list(opened.filter(pk__in=chosen))
    asked = [
        ("fetch", {"user": m.address, "field": ["hdr.x-beffroi-id"], "query": ["mailbox", JUNK]})
        for m in mailboxes
    ]
    gone = 0
    for mailbox, answer in zip(mailboxes, Doveadm(settings.BEFFROI).run(asked), strict=True):
        if answer is None:  # its turn comes again behind all others
            rows.filter(mailbox_id=mailbox.id).update(changed_at=clock.now())
            continue
        there = {one.get("hdr.x-beffroi-id", "").strip() for one in answer}
        for row in rows.filter(mailbox_id=mailbox.id):
            if row.message_id in there:
                HeldMail.objects.filter(pk=row.pk).update(changed_at=clock.now())
            else:
                gone += actions.let_go(row=row, state=_State.GONE)
    return gone
