"""The writes of people's own scripts. Each is one transaction: change, audit row, event; the engine's file follows.

Who may: the mailbox's owner, by ManageSieve (``address``: where from) or in the portal.
Privacy: the audit log knows that a script came, went, was switched on or off; nothing of its text, not its name.
"""

from __future__ import annotations

from collections.abc import Collection

from django.conf import settings
from django.db import transaction

from beffroi.core.audit import actions as audit
from beffroi.core.events import outbox
from beffroi.core.events.outbox import publish
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import NotFound
from beffroi.mail import queries as mail
from beffroi.mail.engines import layout, sievec
from beffroi.mail.filters import actions as filters
from beffroi.mail.models import Mailbox
from beffroi.mail.scripts import queries, rules
from beffroi.mail.scripts.errors import (
    AccountHeld,
    ScriptActive,
    ScriptInvalid,
    ScriptNameTaken,
    ScriptsFull,
)
from beffroi.mail.scripts.models import PersonalScript
from beffroi.mail.sending import actions as sending
from beffroi.mail.sending.queries import held_mailboxes

SYSTEM = Actor.system("scripts")
MAX_SAID = 2000


def check(text: str) -> None:
    """Errors: ScriptInvalid."""
    if why := rules.fault(text):
        raise ScriptInvalid(why)
    try:
        said = sievec.fault(layout.Paths(settings.BEFFROI.state).scripts_conf, text)
    except sievec.FAILURES:
        raise ScriptInvalid("engine") from None
    if said is not None:
        raise ScriptInvalid("compile", said[:MAX_SAID])


def put(*, actor: Actor, mailbox: Mailbox, name: str, text: str, address: str = "") -> PersonalScript:
    """Keep a script under this name, in the place of the one that had it. The one in force is judged anew.

    Errors: NotFound, AccountHeld, ScriptInvalid, ScriptsFull.
    """
    check(text)  # an engine runs: not inside of the transaction
    with transaction.atomic():
        _may_change(actor, mailbox)
        if rules.name_fault(name):
            raise ScriptInvalid("name")
        rows = queries.scripts(mailbox)
        row = rows.filter(name=name).first()
        if row is None:
            if rows.count() >= rules.MAX_SCRIPTS:
                raise ScriptsFull(rules.MAX_SCRIPTS)
            row = PersonalScript(
                mailbox_id=mailbox.id,
                collectivite_id=mailbox.collectivite_id,
                person_id=actor.id,
                name=name,
            )
        row.text, row.changed_at = text, clock.now()
        row.save()
        _changed(actor, "mail:script:put", row)
        _judge(actor, mailbox, row, address)
    return row


@transaction.atomic
def activate(
    *, actor: Actor, mailbox: Mailbox, row: PersonalScript | None, address: str = ""
) -> PersonalScript | None:
    """Put this script in force, or none. One that rested works again, unless it still looks like another's hand.

    Errors: NotFound, AccountHeld.
    """
    _may_change(actor, mailbox)
    row = queries.access_script(mailbox, row.id) if row is not None else None
    before = queries.active(mailbox)
    if before is not None and (row is None or before.pk != row.pk):
        before.is_active, before.suspended_at = False, None
        before.save(update_fields=["is_active", "suspended_at"])
        _changed(actor, "mail:script:off", before)
    if row is not None and not row.in_force:
        row.is_active, row.suspended_at = True, None
        row.save(update_fields=["is_active", "suspended_at"])
        _changed(actor, "mail:script:on", row)
        _judge(actor, mailbox, row, address)
    return row


@transaction.atomic
def remove(*, actor: Actor, mailbox: Mailbox, row: PersonalScript) -> None:
    """Errors: NotFound, AccountHeld, ScriptActive."""
    _may_change(actor, mailbox)
    row = queries.access_script(mailbox, row.id)
    if row.is_active:
        raise ScriptActive()
    _changed(actor, "mail:script:removed", row)
    row.delete()


@transaction.atomic
def rename(*, actor: Actor, mailbox: Mailbox, row: PersonalScript, name: str) -> None:
    """Errors: NotFound, AccountHeld, ScriptInvalid (name), ScriptNameTaken."""
    _may_change(actor, mailbox)
    if rules.name_fault(name):
        raise ScriptInvalid("name")
    if queries.scripts(mailbox).filter(name=name).exclude(pk=row.pk).exists():
        raise ScriptNameTaken()
    queries.scripts(mailbox).filter(pk=row.pk).update(name=name)


@transaction.atomic
def end_scripts_of(person_id: str, collectivite_id: str) -> list[str]:
    """Whoever left a collectivité files nothing there any more; whoever takes the mailbox over finds none of it.
    Return which were chosen: one that rested rests."""
    outbox.serialise()
    rows = queries.chosen_of(person_id, collectivite_id)
    for row in rows:
        row.is_active = False
        row.save(update_fields=["is_active"])
        _changed(SYSTEM, "mail:script:off", row)
    return [row.id for row in rows]


@transaction.atomic
def give_back(*, actor: Actor, ids: Collection[str]) -> None:
    """Those that a departure ended, when it is undone: chosen as before, unless their owner chose another since."""
    for row in PersonalScript.objects.filter(pk__in=ids, is_active=False):
        mailbox = Mailbox.objects.filter(pk=row.mailbox_id, person_id=row.person_id, closed_at=None).first()
        if mailbox is not None and queries.active(mailbox) is None:
            row.is_active = True
            row.save(update_fields=["is_active"])
            _changed(actor, "mail:script:on", row)


@transaction.atomic
def forget(person_id: str) -> None:
    """The scripts of an erased person go."""
    rows = PersonalScript.objects.filter(person_id=person_id)
    for row in rows:
        _publish(row)
    rows.delete()


def _may_change(actor: Actor, mailbox: Mailbox) -> None:
    """Errors: NotFound, AccountHeld."""
    outbox.serialise()
    if mail.access_mailbox(actor, mailbox.id).person_id != actor.id:
        raise NotFound("mailbox")  # a functional mailbox is nobody's program's
    if mailbox.id in held_mailboxes():
        raise AccountHeld()


def _judge(actor: Actor, mailbox: Mailbox, row: PersonalScript, address: str) -> None:
    """A script in force that hides mail, from a network that nobody knows this person by: it rests, and the account
    with it, as after a new forward (filters.rules)."""
    if not row.in_force or not rules.hides(row.text):
        return
    if filters.looks_taken_over(actor, mailbox, address=address):
        row.suspended_at = clock.now()
        row.save(update_fields=["suspended_at"])
        sending.note_takeover(mailbox=mailbox, what="script")


def _changed(actor: Actor, verb: str, row: PersonalScript) -> None:
    audit.record(
        actor, verb, row.mailbox_id, collectivite_id=row.collectivite_id, details={"script_id": row.id}
    )
    _publish(row)


def _publish(row: PersonalScript) -> None:
    publish("mail:script_changed", {"mailbox_id": row.mailbox_id}, collectivite_id=row.collectivite_id)
