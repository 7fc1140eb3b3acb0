"""Mailboxes, what is known about each message (never its content), and what remediation did.

``mail_message``, ``mail_observation`` and ``mail_recipient`` are written by mailgate in plain SQL: their columns are
a contract with mail/gate/store.py. ``received_at`` and ``delivered_at`` are UTC.
"""

from __future__ import annotations

from django.db import models

from beffroi.core.fields import id_field, optional_reference, reference
from beffroi.lib import clock


class CommuneKey(models.Model):
    """The key of a collectivité, wrapped by the master key. Erased, none of its mailboxes opens again."""

    collectivite_id = reference(primary_key=True)
    wrapped = models.TextField()
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "mail_commune_key"


class Mailbox(models.Model):
    """``crypt_key``: the private half of its key pair (mail/key_pairs.py), wrapped by the collectivité's key.

    ``searched_at``: when the sweep last looked through it for unchecked copies.
    """

    id = id_field("mbx")
    collectivite_id = reference(db_index=True)
    address = models.CharField(max_length=254, unique=True)
    person_id = optional_reference()
    crypt_key = models.TextField()
    created_at = models.DateTimeField(default=clock.now)
    ready_at = models.DateTimeField(null=True, default=None)
    searched_at = models.DateTimeField(null=True, default=None, db_index=True)
    closed_at = models.DateTimeField(null=True, default=None)

    class Meta:
        db_table = "mail_mailbox"


class Sending(models.Model):
    """A message of the webmail on its way out: where it lies, never what it says.

    It waits, whole, in the folder of drafts (``uid_validity``, ``uid``) until submission has taken it. ``reason``: a
    code of ``submission.Refused``; ``refused``: JSON list of the addresses that were refused. ``due_at``: UTC.
    """

    class State(models.TextChoices):
        WAITING = "waiting"
        SENDING = "sending"
        ACCEPTED = "accepted"  # by submission, and not yet filed
        SENT = "sent"
        CANCELLED = "cancelled"
        REFUSED = "refused"

    id = id_field("snd")
    mailbox_id = reference(db_index=True)
    collectivite_id = reference()
    person_id = reference()
    uid_validity = models.BigIntegerField()
    uid = models.BigIntegerField()
    message_id_hash = models.CharField(max_length=64)
    state = models.CharField(max_length=16, choices=State, default=State.WAITING)
    reason = models.CharField(max_length=40, default="")
    refused = models.TextField(default="[]")
    attempts = models.IntegerField(default=0)
    created_at = models.DateTimeField(default=clock.now)
    due_at = models.DateTimeField(db_index=True)
    changed_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "mail_sending"
        constraints = (
            models.UniqueConstraint(
                fields=["mailbox_id", "uid_validity", "uid"],
                condition=models.Q(state__in=("waiting", "sending", "accepted")),
                name="mail_sending_once",
            ),
        )


class MailMessage(models.Model):
    """One message as it arrived. ``verdict``: JSON with action, decision_id, auth, symbols, score."""

    id = id_field("msg")
    received_at = models.DateTimeField(db_index=True)
    message_id = models.CharField(max_length=998)
    message_id_hash = models.CharField(max_length=64, db_index=True)
    sender = models.CharField(max_length=320)
    client_ip = models.CharField(max_length=45)
    helo = models.CharField(max_length=255)
    verdict = models.TextField()

    class Meta:
        db_table = "mail_message"


class MailObservation(models.Model):
    """An indicator seen in a message. ``role``: as in ``gate.facts.Observation``."""

    message_id = reference()
    kind = models.CharField(max_length=16)
    value = models.CharField(max_length=2048)
    role = models.CharField(max_length=16)

    class Meta:
        db_table = "mail_observation"
        indexes = (models.Index(fields=["kind", "value", "id"], name="mail_observation_value"),)
        constraints = (
            models.UniqueConstraint(
                fields=["message_id", "kind", "value", "role"], name="mail_observation_once"
            ),
        )


class MailText(models.Model):
    """A text to which later ones are near (``gate.texts``). ``value``: its sketch; ``seen_at``: when the last mail came
    that is near."""

    value = models.CharField(max_length=256)
    seen_at = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "mail_text"


class MailTextBand(models.Model):
    """Some lanes of a sketch, by which it is found."""

    text_id = models.BigIntegerField(db_index=True)
    band = models.BigIntegerField(db_index=True)

    class Meta:
        db_table = "mail_text_band"


class MailRecipient(models.Model):
    message_id = reference()
    address = models.CharField(max_length=320, db_index=True)

    class Meta:
        db_table = "mail_recipient"
        constraints = (models.UniqueConstraint(fields=["message_id", "address"], name="mail_recipient_once"),)


class MailDelivery(models.Model):
    """A copy that Dovecot saved. ``message_id`` is our identifier."""

    message_id = reference()
    mailbox_id = reference(db_index=True)
    collectivite_id = reference()
    folder = models.CharField(max_length=255)
    delivered_at = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "mail_delivery"
        constraints = (
            models.UniqueConstraint(fields=["message_id", "mailbox_id"], name="mail_delivery_once"),
        )


class JournalPosition(models.Model):
    """How far the journal of deliveries was read: file (inode) and offset, moved with what was read."""

    name = models.CharField(primary_key=True, max_length=40)
    inode = models.BigIntegerField(default=0)
    offset_bytes = models.BigIntegerField(default=0)

    class Meta:
        db_table = "mail_journal_position"


class PendingDelivery(models.Model):
    """A journal line whose message is not known yet: evidence on its way, or a message that nobody checked."""

    address = models.CharField(max_length=320)
    message_id = models.CharField(max_length=998)
    delivered_at = models.DateTimeField()
    first_tried_at = models.DateTimeField(default=clock.now)
    attempts = models.IntegerField(default=0)

    class Meta:
        db_table = "mail_pending_delivery"


class RemediationJob(models.Model):
    """What a decision did to copies already delivered, or what its end gave back."""

    class State(models.TextChoices):
        WAITING = "waiting"  # for a second person
        RUNNING = "running"
        DONE = "done"
        REFUSED = "refused"

    class Direction(models.TextChoices):
        WITHDRAW = "withdraw"
        RESTORE = "restore"

    id = id_field("job")
    direction = models.CharField(max_length=16, choices=Direction)
    decision_id = reference(db_index=True)
    campaign_id = reference(default="", blank=True)
    state = models.CharField(max_length=16, choices=State)
    approval_id = reference(default="", blank=True)
    messages = models.IntegerField(default=0)
    moved = models.IntegerField(default=0)
    absent = models.IntegerField(default=0)
    failed = models.IntegerField(default=0)
    created_at = models.DateTimeField(default=clock.now)
    done_at = models.DateTimeField(null=True, default=None)

    class Meta:
        db_table = "mail_remediation_job"
        constraints = (
            models.UniqueConstraint(fields=["decision_id", "direction"], name="mail_remediation_job_once"),
        )


class RemediationItem(models.Model):
    """One copy. ``folder`` is where it was, kept before the move, so that undo knows it after a crash."""

    class State(models.TextChoices):
        PENDING = "pending"
        FOUND = "found"
        MOVED = "moved"
        ABSENT = "absent"
        KEPT = "kept"  # another decision holds it, or what the door found in it
        FAILED = "failed"

    job = models.ForeignKey(RemediationJob, models.CASCADE, related_name="items")
    message_id = reference()
    mailbox_id = reference()
    collectivite_id = reference()
    state = models.CharField(max_length=16, choices=State, default=State.PENDING)
    folder = models.CharField(max_length=255, default="")
    flags = models.CharField(max_length=500, default="")
    attempts = models.IntegerField(default=0)
    changed_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "mail_remediation_item"
        indexes = (
            models.Index(fields=["message_id", "mailbox_id"], name="mail_remediation_copy"),
            models.Index(
                fields=["mailbox_id"], condition=models.Q(state="failed"), name="mail_remediation_missed"
            ),
        )
        constraints = (
            models.UniqueConstraint(
                fields=["job", "message_id", "mailbox_id"], name="mail_remediation_item_once"
            ),
        )


# Django looks for an application's tables here.
from beffroi.mail.held import models as held_models  # noqa: E402, F401
from beffroi.mail.quota import models as quota_models  # noqa: E402, F401
