"""A request that needs the word of a second person before it takes effect."""

from __future__ import annotations

from django.db import models

from beffroi.core.fields import id_field, optional_reference
from beffroi.lib import clock


class Approval(models.Model):
    class State(models.TextChoices):
        REQUESTED = "requested"
        GRANTED = "granted"
        REFUSED = "refused"
        EXPIRED = "expired"

    id = id_field("apr")
    verb = models.CharField(max_length=80)
    subject_id = models.CharField(max_length=80)
    payload = models.TextField(default="{}")
    collectivite_id = optional_reference()
    state = models.CharField(max_length=16, choices=State, default=State.REQUESTED)
    requested_by = models.CharField(max_length=80)
    requested_at = models.DateTimeField(default=clock.now)
    expires_at = models.DateTimeField()
    decided_by = models.CharField(max_length=80, default="")
    decided_at = models.DateTimeField(null=True, default=None)

    class Meta:
        db_table = "approval"
