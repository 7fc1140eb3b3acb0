"""Collectivités, their codes and their domains.

A collectivité is an opaque identifier: INSEE and SIREN are attributes with dates, because communes merge.
"""

from __future__ import annotations

from django.db import models

from beffroi.core.fields import id_field, reference
from beffroi.lib import clock


class Collectivite(models.Model):
    class Kind(models.TextChoices):
        COMMUNE = "commune"
        EPCI = "epci"
        CCAS = "ccas"
        SYNDICAT = "syndicat"
        DEPARTEMENT = "departement"

    id = id_field("col")
    kind = models.CharField(max_length=16, choices=Kind)
    name = models.CharField(max_length=200)
    enrolled_at = models.DateTimeField(null=True, default=None)
    """Since when it takes part; None for one that does not, or not any more."""
    left_at = models.DateTimeField(null=True, default=None)
    """It left: nobody signs in there, and its domains are nobody's (``queries.current_domains``)."""
    created_at = models.DateTimeField(default=clock.now)
    # By a référent (``identity.reviews``).
    accesses_reviewed_at = models.DateTimeField(null=True, default=None)

    class Meta:
        db_table = "collectivite"

    @property
    def collectivite_id(self) -> str:
        """As of every row of its own (``audit.record_of``)."""
        return self.id


class CollectiviteCode(models.Model):
    class Scheme(models.TextChoices):
        INSEE = "insee"
        SIREN = "siren"

    collectivite = models.ForeignKey(Collectivite, models.CASCADE, related_name="codes")
    scheme = models.CharField(max_length=8, choices=Scheme)
    value = models.CharField(max_length=14)
    since = models.DateField()
    until = models.DateField(null=True, default=None)

    class Meta:
        db_table = "collectivite_code"
        indexes = (models.Index(fields=["scheme", "value"], name="collectivite_code_value"),)
        constraints = (
            models.UniqueConstraint(
                fields=["scheme", "value"], condition=models.Q(until=None), name="collectivite_code_current"
            ),
        )


class Domain(models.Model):
    id = id_field("dom")
    name = models.CharField(max_length=253, unique=True)
    collectivite = models.ForeignKey(Collectivite, models.CASCADE, related_name="domains")
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "domain"


class CommuneExport(models.Model):
    """All that a collectivité has, written to a folder by the Département at its wish. ``reason``: the wish and where
    it stands. A row is made before the first byte is read."""

    class State(models.TextChoices):
        RUNNING = "running"
        DONE = "done"
        STOPPED = "stopped"
        """By the collectivité's référent: nothing more is read."""

    id = id_field("cex")
    collectivite_id = reference(db_index=True)
    state = models.CharField(max_length=16, choices=State, default=State.RUNNING)
    asked_by = reference()
    reason = models.CharField(max_length=500)
    begun_at = models.DateTimeField(default=clock.now)
    changed_at = models.DateTimeField(default=clock.now)
    """Of the last sign that it goes on, or of its end."""
    files = models.BigIntegerField(default=0)
    size_bytes = models.BigIntegerField(default=0)
    missing = models.IntegerField(default=0)
    """Things that could not be read; the export names them."""
    manifest_sha256 = models.CharField(max_length=64, default="")
    stopped_by = reference(default="", blank=True)

    class Meta:
        db_table = "commune_export"
