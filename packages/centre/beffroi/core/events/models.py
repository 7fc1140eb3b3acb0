"""The outbox, the cursors of its consumers, and the inbox of facts that doors send."""

from __future__ import annotations

from django.db import models

from beffroi.core.fields import optional_reference
from beffroi.lib import clock


class OutboxEvent(models.Model):
    """Ordered by commit: publishing transactions are serialised (see ``outbox.publish``)."""

    id = models.BigAutoField(primary_key=True)
    kind = models.CharField(max_length=80)
    collectivite_id = optional_reference()
    payload = models.TextField()
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "outbox"
        indexes = (models.Index(fields=["kind", "id"], name="outbox_kind"),)


class ConsumerCursor(models.Model):
    """``failures`` counts attempts at the event after ``position``; success sets it to zero."""

    consumer = models.CharField(primary_key=True, max_length=80)
    position = models.BigIntegerField(default=0)
    failures = models.IntegerField(default=0)
    retry_at = models.DateTimeField(null=True, default=None)
    last_error = models.CharField(max_length=200, default="")

    class Meta:
        db_table = "outbox_cursor"


class ParkedEvent(models.Model):
    """An event that a consumer could not take after many attempts: it waits for a person, and blocks nobody."""

    consumer = models.CharField(max_length=80)
    event_id = models.BigIntegerField()
    kind = models.CharField(max_length=80)
    error = models.CharField(max_length=200)
    parked_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "outbox_parked"
        constraints = (models.UniqueConstraint(fields=["consumer", "event_id"], name="outbox_parked_once"),)


class InboxFact(models.Model):
    """A fact of a door, stored before it is acknowledged; the id makes a repeated delivery harmless."""

    id = models.CharField(primary_key=True, max_length=120)
    source = models.CharField(max_length=80)
    collectivite_id = optional_reference()
    kind = models.CharField(max_length=40)
    payload = models.TextField()
    received_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "inbox_fact"
