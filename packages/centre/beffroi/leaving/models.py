"""A collectivité that leaves, and the erasure of all of it. What is done is the proof of it, and kept."""

from __future__ import annotations

from django.db import models

from beffroi.core.fields import id_field, reference
from beffroi.lib import clock


class Leaving(models.Model):
    """``reason``: the written wish and where it stands. ``undo``: JSON of what giving back needs (``applying``), from
    ``left_at`` on, and of who continues it (``continuing``). ``applied_at``: everything has ended."""

    class State(models.TextChoices):
        PLANNED = "planned"
        LEFT = "left"
        TAKEN_BACK = "taken_back"

    id = id_field("lea")
    collectivite_id = reference(db_index=True)
    state = models.CharField(max_length=16, choices=State, default=State.PLANNED)
    leaves_on = models.DateField()
    reason = models.CharField(max_length=500)
    said_by = reference()
    created_at = models.DateTimeField(default=clock.now)
    left_at = models.DateTimeField(null=True, default=None)
    applied_at = models.DateTimeField(null=True, default=None)
    undo = models.TextField(default="{}")
    changed_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "commune_leaving"
        constraints = (
            models.UniqueConstraint(
                fields=["collectivite_id"],
                condition=models.Q(state__in=("planned", "left")),
                name="commune_leaving_once",
            ),
        )


class CommuneErasure(models.Model):
    """``visa``: reference of the document by which the Archives départementales agree. ``asked_name``,
    ``granted_name``: as they were then, for their accounts may be erased with it. ``no_export``: who asked knew that
    no complete export was there. ``stage``: what is being destroyed; ``removed``: JSON of what was, counted before
    (``erasing``)."""

    class State(models.TextChoices):
        ASKED = "asked"
        GRANTED = "granted"
        ERASING = "erasing"
        DONE = "done"
        REFUSED = "refused"
        WITHDRAWN = "withdrawn"

    class Stage(models.TextChoices):
        MAILBOXES = "mailboxes"
        DRIVE = "drive"
        ROWS = "rows"
        PERSONS = "persons"
        KEYS = "keys"

    id = id_field("cer")
    collectivite_id = reference(db_index=True)
    approval_id = reference()
    state = models.CharField(max_length=16, choices=State, default=State.ASKED)
    asked_by = reference()
    asked_name = models.CharField(max_length=200)
    granted_by = reference(default="", blank=True)
    granted_name = models.CharField(max_length=200, default="", blank=True)
    visa = models.CharField(max_length=120, default="", blank=True)
    reason = models.CharField(max_length=300, default="", blank=True)
    no_export = models.BooleanField(default=False)
    stage = models.CharField(max_length=16, choices=Stage, default=Stage.MAILBOXES)
    waits_for = models.CharField(max_length=16, default="", blank=True)
    removed = models.TextField(default="{}")
    created_at = models.DateTimeField(default=clock.now)
    granted_at = models.DateTimeField(null=True, default=None)
    due_at = models.DateTimeField(null=True, default=None)
    begun_at = models.DateTimeField(null=True, default=None)
    done_at = models.DateTimeField(null=True, default=None)
    next_run_at = models.DateTimeField(default=clock.now)
    changed_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "commune_erasure"
        constraints = (
            models.UniqueConstraint(
                fields=["collectivite_id"],
                condition=models.Q(state__in=("asked", "granted", "erasing", "done")),
                name="commune_erasure_once",
            ),
        )
