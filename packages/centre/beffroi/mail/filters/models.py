"""What people set for their own mailbox: absence, filters, forwarding, signature. Moments are UTC.

The engines never read these tables: consumers compile them to one Sieve script a mailbox (``sieve``).
"""

from __future__ import annotations

from django.db import models

from beffroi.core.fields import id_field, reference
from beffroi.lib import clock


class Absence(models.Model):
    """An automatic answer from ``begins_at`` until ``ends_at``, to one sender once in ``every_days``.

    ``ended_at``: when a person ended it before its time.
    """

    id = id_field("abs")
    mailbox_id = reference()
    collectivite_id = reference()
    person_id = reference()
    begins_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    text = models.TextField()
    every_days = models.IntegerField(default=7)
    created_at = models.DateTimeField(default=clock.now)
    ended_at = models.DateTimeField(null=True, default=None)

    class Meta:
        db_table = "mail_absence"
        constraints = (
            models.UniqueConstraint(
                fields=["mailbox_id"], condition=models.Q(ended_at=None), name="mail_absence_once"
            ),
        )


class FilterRule(models.Model):
    """If ``field`` contains ``words``, do ``act``; ``position``: its place in the order, from 1."""

    class Field(models.TextChoices):
        SENDER = "from"
        RECIPIENT = "to"
        SUBJECT = "subject"

    class Act(models.TextChoices):
        MOVE = "move"
        COPY = "copy"
        STAR = "star"
        READ = "read"

    id = id_field("flt")
    mailbox_id = reference(db_index=True)
    collectivite_id = reference()
    position = models.IntegerField()
    field = models.CharField(max_length=16, choices=Field)
    words = models.CharField(max_length=200)
    act = models.CharField(max_length=16, choices=Act)
    folder = models.CharField(max_length=255, default="", blank=True)
    is_on = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "mail_filter_rule"


class Forward(models.Model):
    """Mail of one mailbox goes on to one address until ``expires_at``.

    ``suspended_at``: since then it rests, until its owner confirms it again. ``ended_by``: a person; "" for its term.
    """

    id = id_field("fwd")
    mailbox_id = reference()
    collectivite_id = reference(db_index=True)
    person_id = reference()
    target = models.CharField(max_length=254)
    keeps_copy = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=clock.now)
    expires_at = models.DateTimeField(db_index=True)
    suspended_at = models.DateTimeField(null=True, default=None)
    ended_at = models.DateTimeField(null=True, default=None)
    ended_by = reference(default="", blank=True)

    class Meta:
        db_table = "mail_forward"
        constraints = (
            models.UniqueConstraint(
                fields=["mailbox_id"], condition=models.Q(ended_at=None), name="mail_forward_once"
            ),
        )


class Signature(models.Model):
    """What one person writes under the mails of one address, their own or a functional one."""

    mailbox_id = reference()
    collectivite_id = reference()
    person_id = reference()
    text = models.TextField()
    changed_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "mail_signature"
        constraints = (
            models.UniqueConstraint(fields=["mailbox_id", "person_id"], name="mail_signature_once"),
        )


class CommonLine(models.Model):
    """What stands under every signature of a collectivité: its référent's word."""

    collectivite_id = reference(primary_key=True)
    text = models.TextField()
    changed_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "mail_common_line"
