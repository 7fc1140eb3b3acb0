"""Collectivités, their codes and their domains.

A collectivité is an opaque identifier: INSEE and SIREN are attributes with dates, because communes merge.
"""

from __future__ import annotations

from django.db import models

from beffroi.core.fields import id_field
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
    created_at = models.DateTimeField(default=clock.now)
    accesses_reviewed_at = models.DateTimeField(
        null=True, default=None
    )  # by a référent (``identity.reviews``)

    class Meta:
        db_table = "collectivite"

    def __str__(self) -> str:
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

    def __str__(self) -> str:
        return f"{self.scheme}:{self.value}"


class Domain(models.Model):
    id = id_field("dom")
    name = models.CharField(max_length=253, unique=True)
    collectivite = models.ForeignKey(Collectivite, models.CASCADE, related_name="domains")
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "domain"

    def __str__(self) -> str:
        return self.id
