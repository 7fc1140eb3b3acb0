"""Functional mailboxes (mairie@, état civil): who reads them, who deals with which mail. Delegations of one's own
mailbox for a period. And departures of people.

A mail is named by ``message_key``: our identifier, or the SHA-256 of its Message-ID where it did not come through the
mail door. Nothing here says what a mail says; a note is what a colleague wrote beside it.
"""

from __future__ import annotations

from django.db import models

from beffroi.core.fields import id_field, reference
from beffroi.lib import clock


class SharedMailbox(models.Model):
    """A mailbox that belongs to a task and not to a person. ``title``: its name for people, also in what it sends."""

    mailbox_id = reference(primary_key=True)
    collectivite_id = reference(db_index=True)
    title = models.CharField(max_length=100)
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "mail_shared_mailbox"


class Member(models.Model):
    """A person who reads a functional mailbox and answers in its name, from ``since`` to ``ended_at``."""

    id = id_field("mmb")
    mailbox_id = reference()
    collectivite_id = reference()
    person_id = reference(db_index=True)
    since = models.DateTimeField(default=clock.now)
    ended_at = models.DateTimeField(null=True, default=None)

    class Meta:
        db_table = "mail_member"
        constraints = (
            models.UniqueConstraint(
                fields=["mailbox_id", "person_id"],
                condition=models.Q(ended_at=None),
                name="mail_member_current",
            ),
        )


class Handling(models.Model):
    """Who deals with a mail of a functional mailbox, and who is writing an answer until when (UTC)."""

    mailbox_id = reference()
    collectivite_id = reference()
    message_key = models.CharField(max_length=64)
    assigned_to = reference(default="", blank=True)
    assigned_by = reference(default="", blank=True)
    answering_by = reference(default="", blank=True)
    answering_until = models.DateTimeField(null=True, default=None)
    changed_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "mail_handling"
        constraints = (
            models.UniqueConstraint(fields=["mailbox_id", "message_key"], name="mail_handling_once"),
        )


class Note(models.Model):
    """What a member wrote beside a mail, for the other members. Taken back, it can be put again."""

    id = id_field("mnt")
    mailbox_id = reference()
    collectivite_id = reference()
    message_key = models.CharField(max_length=64)
    person_id = reference()
    text = models.CharField(max_length=500)
    created_at = models.DateTimeField(default=clock.now)
    removed_at = models.DateTimeField(null=True, default=None)

    class Meta:
        db_table = "mail_note"
        indexes = (models.Index(fields=["mailbox_id", "message_key"], name="mail_note_message"),)


class Departure(models.Model):
    """A person left a collectivité: what was ended and closed, whether the engines confirmed it, and its undoing.

    ``ended``: JSON, what undoing needs and what the record shows: ``roles``, ``closed`` (mailboxes), ``left``
    ([mailbox, successor or ""] of functional mailboxes), ``app_passwords`` (how many); since departures give them back,
    ``lent``, ``forwards`` and ``scripts`` (identifiers). ``confirmed_at``: no engine
    knows the mailboxes or the passwords any more, and no connection of theirs is open.
    """

    class State(models.TextChoices):
        CONFIRMING = "confirming"
        CONFIRMED = "confirmed"
        UNDONE = "undone"

    id = id_field("dep")
    collectivite_id = reference(db_index=True)
    person_id = reference(db_index=True)
    state = models.CharField(max_length=16, choices=State, default=State.CONFIRMING)
    ended = models.TextField(default="{}")
    waits_for = models.CharField(max_length=40, default="", blank=True)
    by = reference()
    created_at = models.DateTimeField(default=clock.now)
    confirmed_at = models.DateTimeField(null=True, default=None)
    undone_at = models.DateTimeField(null=True, default=None)

    class Meta:
        db_table = "mail_departure"


class Delegation(models.Model):
    """A colleague of the same collectivité opens a person's own mailbox, from ``begins_at`` to ``ends_at`` (UTC).

    ``by``: the owner, or the référent, who gives a ``reason``. ``seen_at``: its owner had it before their eyes, where
    somebody else gave it.
    """

    class Right(models.TextChoices):
        READ = "read"
        ANSWER = "answer"

    id = id_field("dlg")
    mailbox_id = reference(db_index=True)
    collectivite_id = reference(db_index=True)
    owner_id = reference()
    person_id = reference(db_index=True)
    right = models.CharField(max_length=8, choices=Right)
    begins_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    by = reference()
    reason = models.CharField(max_length=200, default="", blank=True)
    created_at = models.DateTimeField(default=clock.now)
    seen_at = models.DateTimeField(null=True, default=None)
    ended_at = models.DateTimeField(null=True, default=None)
    ended_by = reference(default="", blank=True)

    class Meta:
        db_table = "mail_delegation"


class DelegatedAct(models.Model):
    """One mail that a delegate read or sent, once a day: what the owner's list counts. Nothing of what it says.

    ``message_key``: as beside mails of functional mailboxes; where a mail has no name, a hash of where it lies.
    ``day``: in France.
    """

    class What(models.TextChoices):
        READ = "read"
        SENT = "sent"

    delegation_id = reference()
    collectivite_id = reference()
    day = models.DateField(db_index=True)
    what = models.CharField(max_length=8, choices=What)
    message_key = models.CharField(max_length=64)

    class Meta:
        db_table = "mail_delegated_act"
        constraints = (
            models.UniqueConstraint(
                fields=["delegation_id", "day", "what", "message_key"], name="mail_delegated_act_once"
            ),
        )
