"""What is held back from a person, whom a mailbox lets through or not, what the filter is to learn, the digest, and
other words of the centre to a mailbox.

``sealed``: sender and subject under the collectivité's key (``held.heading``): the database alone shows neither.
"""

from __future__ import annotations

from django.db import models

from beffroi.core.fields import id_field, reference
from beffroi.lib import clock
from beffroi.mail.gate.attachments import STRICT

EIGHT = 8 * 60


class HeldMail(models.Model):
    """A copy that does not lie in the inbox. ``overdue_at``: unseen then, it is brought up again, until it is seen;
    nothing removes one that is held. ``told_at``: when a digest last named it. ``findings``: why, for the reason
    ``content``: codes of ``gate.attachments``, strongest first, with spaces between."""

    class Reason(models.TextChoices):
        FILTER = "filter"  # in Junk
        SENDER_BLOCKED = "sender_blocked"  # in Junk, by the person's own word
        DECISION = "decision"  # in quarantine
        CONTENT = "content"  # in quarantine, for what is attached to it or for its shape

    class State(models.TextChoices):
        HELD = "held"
        RELEASED = "released"
        BLOCKED = "blocked"  # dealt with: its sender is blocked, the copy stays in Junk
        RETURNED = "returned"  # the decision ended
        GONE = "gone"  # moved or deleted by its owner in another program

    id = id_field("hld")
    mailbox_id = reference()
    collectivite_id = reference()
    message_id = reference(db_index=True)
    reason = models.CharField(max_length=16, choices=Reason)
    decision_id = reference(default="", blank=True)
    findings = models.CharField(max_length=200, default="", blank=True)
    appeal_id = reference(default="", blank=True)
    state = models.CharField(max_length=16, choices=State, default=State.HELD)
    sealed = models.TextField(default="", blank=True)
    held_at = models.DateTimeField(default=clock.now)
    overdue_at = models.DateTimeField()
    seen_at = models.DateTimeField(null=True, default=None)
    told_at = models.DateTimeField(null=True, default=None)
    changed_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "mail_held"
        indexes = (
            models.Index(fields=["mailbox_id", "state", "id"], name="mail_held_of_mailbox"),
            models.Index(fields=["state", "changed_at"], name="mail_held_over"),
        )
        constraints = (models.UniqueConstraint(fields=["mailbox_id", "message_id"], name="mail_held_once"),)

    @property
    def strict(self) -> bool:
        """What is attached is nothing that its owner alone may let in."""
        return self.reason == self.Reason.CONTENT and not STRICT.isdisjoint(self.findings.split())


class SenderRule(models.Model):
    """What one mailbox says of one sender (the visible From), and how the mail came about which it was said.

    ``needs_proof``: it proved its domain (DMARC). ``network``: whence it came. ``replaces``: the rule in force before,
    for undo."""

    class Verdict(models.TextChoices):
        ALLOW = "allow"
        BLOCK = "block"

    id = id_field("srl")
    mailbox_id = reference()
    collectivite_id = reference()
    address = models.CharField(max_length=320)
    verdict = models.CharField(max_length=8, choices=Verdict)
    needs_proof = models.BooleanField(default=False)
    network = models.CharField(max_length=43, default="", blank=True)
    held_id = reference(db_index=True)
    replaces = reference(default="", blank=True)
    created_at = models.DateTimeField(default=clock.now)
    created_by = reference()
    ended_at = models.DateTimeField(null=True, default=None)

    class Meta:
        db_table = "mail_sender_rule"
        constraints = (
            models.UniqueConstraint(
                fields=["mailbox_id", "address"],
                condition=models.Q(ended_at=None),
                name="mail_sender_rule_once",
            ),
        )


class Lesson(models.Model):
    """A mail that the filter is to learn as wanted (released, answered) or unwanted (reported, blocked), by the word of
    one person; handed over after the time for an undo. One for a mail in a mailbox."""

    class State(models.TextChoices):
        QUEUED = "queued"
        TAUGHT = "taught"
        WITHDRAWN = "withdrawn"
        FAILED = "failed"

    id = id_field("les")
    mailbox_id = reference()
    collectivite_id = reference()
    message_id = reference()
    person_id = reference(default="", blank=True)
    wanted = models.BooleanField(default=True)
    state = models.CharField(max_length=16, choices=State, default=State.QUEUED, db_index=True)
    queued_at = models.DateTimeField(default=clock.now, db_index=True)
    taught_at = models.DateTimeField(null=True, default=None)
    attempts = models.IntegerField(default=0)

    class Meta:
        db_table = "mail_lesson"
        indexes = (
            models.Index(fields=["wanted", "collectivite_id"], name="mail_lesson_share"),
            models.Index(fields=["person_id", "queued_at"], name="mail_lesson_of_person"),
        )
        constraints = (models.UniqueConstraint(fields=["mailbox_id", "message_id"], name="mail_lesson_once"),)


class Digest(models.Model):
    """When a mailbox gets its digest: minutes after midnight in mainland France, on working days. ``sent_on``: the last
    day on which one was handed to Postfix."""

    mailbox_id = reference(primary_key=True)
    collectivite_id = reference()
    at_minute = models.IntegerField(default=EIGHT)
    sent_on = models.DateField(null=True, default=None)

    class Meta:
        db_table = "mail_digest"


class Notice(models.Model):
    """A word of the centre to one mailbox. ``about`` and ``ref``: what it says, and of what; it is composed when it
    leaves. ``due_at``: it is not tried before. ``told_at``: Postfix took it."""

    about = models.CharField(max_length=20)
    ref = models.CharField(max_length=80)
    mailbox_id = reference()
    collectivite_id = reference()
    asked_at = models.DateTimeField(default=clock.now)
    due_at = models.DateTimeField(default=clock.now)
    told_at = models.DateTimeField(null=True, default=None)

    class Meta:
        db_table = "mail_notice"
        indexes = (models.Index(fields=["due_at"], condition=models.Q(told_at=None), name="mail_notice_due"),)
        constraints = (
            models.UniqueConstraint(fields=["about", "ref", "mailbox_id"], name="mail_notice_once"),
        )
