"""Beside a mail of a functional mailbox: whose it is, who is answering, short notes.

Who may: its members. Giving a mail to somebody, and notes, leave audit rows (without the note's text); that somebody
is answering is a presence, which ends by itself, and leaves none.
"""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction

from beffroi.core.audit import actions as audit
from beffroi.core.events.outbox import publish
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import Invalid, NotFound, existing
from beffroi.mail import queries as mail
from beffroi.mail.models import Mailbox
from beffroi.mail.people import queries
from beffroi.mail.people.models import Handling, Note, SharedMailbox

ANSWERING_S = 600
"""From opening an answer, and again from each saving of its draft."""
MAX_NOTE_CHARS = 500
MAX_NOTES = 100


@transaction.atomic
def assign(*, actor: Actor, mailbox: Mailbox, key: str, person_id: str) -> str:
    """Say for whom a mail is, "" for nobody; return who it was for, which undoes it. Errors: NotFound, Invalid."""
    row = _row(actor, mailbox, key)
    if person_id and person_id not in {one.id for one in queries.members(mailbox.id)}:
        raise Invalid("person")
    before, row.assigned_to = row.assigned_to, person_id
    if before == person_id:
        return before
    row.assigned_by = actor.id
    _save(row)
    audit.record_of(actor, "mail:handling:assigned", mailbox, {"message": key, "person_id": person_id})
    return before


@transaction.atomic
def answering(*, actor: Actor, mailbox: Mailbox, key: str) -> None:
    """This member writes an answer, for ``ANSWERING_S`` from now. Errors: NotFound, Invalid."""
    row = _row(actor, mailbox, key)
    fresh = row.answering_by != actor.id or row.answering_until is None or row.answering_until < clock.now()
    row.answering_by, row.answering_until = actor.id, clock.now() + timedelta(seconds=ANSWERING_S)
    _save(row, tell=fresh)


@transaction.atomic
def stop_answering(*, actor: Actor, mailbox: Mailbox, key: str) -> None:
    """They sent it or threw it away; of a colleague nothing is taken. Errors: NotFound, Invalid."""
    row = _row(actor, mailbox, key)
    if row.answering_by == actor.id:
        row.answering_by, row.answering_until = "", None
        _save(row)


@transaction.atomic
def add_note(*, actor: Actor, mailbox: Mailbox, key: str, text: str) -> Note:
    """Errors: NotFound, Invalid (empty, too long, too many)."""
    _may(actor, mailbox, key)
    said = text.strip()
    if not said or len(said) > MAX_NOTE_CHARS or "\x00" in said:
        raise Invalid("note")
    if Note.objects.filter(mailbox_id=mailbox.id, message_key=key).count() >= MAX_NOTES:
        raise Invalid("note")
    note = Note.objects.create(
        mailbox_id=mailbox.id,
        collectivite_id=mailbox.collectivite_id,
        message_key=key,
        person_id=actor.id,
        text=said,
    )
    audit.record_of(actor, "mail:handling:note_added", mailbox, {"message": key, "note": note.id})
    _tell(mailbox)
    return note


@transaction.atomic
def remove_note(*, actor: Actor, mailbox: Mailbox, note_id: str, back: bool = False) -> None:
    """Take one's own note away, or put it ``back``. Errors: NotFound (also a colleague's)."""
    mail.access_mailbox(actor, mailbox.id)
    rows = Note.objects.filter(mailbox_id=mailbox.id, person_id=actor.id)
    note = existing(rows.filter(pk=note_id).first(), "note")
    if (note.removed_at is None) == back:
        return
    note.removed_at = None if back else clock.now()
    note.save(update_fields=["removed_at"])
    verb = "mail:handling:note_put_back" if back else "mail:handling:note_removed"
    audit.record_of(actor, verb, mailbox, {"message": note.message_key, "note": note.id})
    _tell(mailbox)


def _may(actor: Actor, mailbox: Mailbox, key: str) -> None:
    mail.access_mailbox(actor, mailbox.id)
    if not SharedMailbox.objects.filter(pk=mailbox.id).exists():
        raise NotFound("mailbox")
    if not queries.is_key(key):
        raise Invalid("message")


def _row(actor: Actor, mailbox: Mailbox, key: str) -> Handling:
    _may(actor, mailbox, key)
    Handling.objects.get_or_create(
        mailbox_id=mailbox.id, message_key=key, defaults={"collectivite_id": mailbox.collectivite_id}
    )
    return Handling.objects.select_for_update().get(mailbox_id=mailbox.id, message_key=key)


def _save(row: Handling, *, tell: bool = True) -> None:
    row.changed_at = clock.now()
    row.save()
    if tell:
        publish("mail:handling_changed", {"mailbox_id": row.mailbox_id}, collectivite_id=row.collectivite_id)


def _tell(mailbox: Mailbox) -> None:
    publish("mail:handling_changed", {"mailbox_id": mailbox.id}, collectivite_id=mailbox.collectivite_id)
