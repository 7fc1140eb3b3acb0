"""The audit log: what was done, its seal in the hash chain, and the erasable personal side.

``audit_entry`` holds identifiers and counts only. ``audit_personal`` holds what names people; the entry commits
to it by a salted hash, so that erasing a row (salt and all) leaves the chain valid and says nothing.
"""

from __future__ import annotations

from django.db import models

from beffroi.core.fields import optional_reference
from beffroi.lib import clock


class AuditEntry(models.Model):
    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField(default=clock.now)
    actor_kind = models.CharField(max_length=16)
    actor_id = models.CharField(max_length=80)
    verb = models.CharField(max_length=80)
    object_id = models.CharField(max_length=80)
    collectivite_id = optional_reference()
    details = models.TextField(default="{}")
    personal_digest = models.CharField(max_length=64, default="")

    class Meta:
        db_table = "audit_entry"
        indexes = (
            models.Index(fields=["collectivite_id", "id"], name="audit_entry_collectivite"),
            models.Index(fields=["object_id"], name="audit_entry_object"),
            # What the Département did of itself, for the journals of all communes.
            models.Index(
                fields=["verb", "id"], condition=models.Q(collectivite_id=None), name="audit_entry_central"
            ),
        )


class AuditPersonal(models.Model):
    entry = models.OneToOneField(AuditEntry, models.CASCADE, primary_key=True, related_name="personal")
    salt = models.CharField(max_length=32)
    content = models.TextField()

    class Meta:
        db_table = "audit_personal"


class AuditSeal(models.Model):
    position = models.BigIntegerField(primary_key=True)
    entry = models.OneToOneField(AuditEntry, models.PROTECT, related_name="seal")
    hash = models.CharField(max_length=64)
    sealed_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "audit_seal"


class AuditCheckpoint(models.Model):
    """Signed: the chain was whole up to ``position``. ``count``: entries since the checkpoint before."""

    position = models.BigIntegerField(primary_key=True)
    hash = models.CharField(max_length=64)
    count = models.BigIntegerField()
    at = models.DateTimeField()
    signature = models.CharField(max_length=100)

    class Meta:
        db_table = "audit_checkpoint"
