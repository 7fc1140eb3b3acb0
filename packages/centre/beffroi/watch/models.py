"""Sightings, and the campaigns they belong to.

A sighting says who saw what; it never leaves this service: decisions carry counts only.
"""

from __future__ import annotations

from django.db import models

from beffroi.core.fields import id_field, reference
from beffroi.lib import clock


class Campaign(models.Model):
    """What sightings with the same link, link host, attachment or sketch have in common."""

    class State(models.TextChoices):
        OPEN = "open"
        DECIDED = "decided"
        REVOKED = "revoked"
        DISMISSED = "dismissed"

    CLOSED = (State.REVOKED, State.DISMISSED)
    """By a person: what they named is settled."""

    id = id_field("cmp")
    state = models.CharField(max_length=16, choices=State, default=State.OPEN)
    first_seen = models.DateTimeField(default=clock.now)
    last_seen = models.DateTimeField(default=clock.now)
    sightings = models.IntegerField(default=0)
    communes = models.IntegerField(default=0)
    persons = models.IntegerField(default=0)
    decisions = models.IntegerField(default=0)
    detectors = models.JSONField(default=list)
    refusals = models.JSONField(default=list)
    rule = models.CharField(max_length=80, default="", blank=True)
    decided_at = models.DateTimeField(null=True, default=None)
    decided_by = models.CharField(max_length=80, default="", blank=True)
    ended_at = models.DateTimeField(null=True, default=None)
    ended_by = models.CharField(max_length=80, default="", blank=True)

    class Meta:
        db_table = "watch_campaign"
        indexes = (models.Index(fields=["state", "last_seen"], name="watch_campaign_state"),)


class CampaignIndicator(models.Model):
    """An indicator of a campaign. ``joins``: a sighting that holds it belongs to the campaign.

    ``resolved_from``: the name that led to this address. ``confirmed``: the Département saw and named it.
    """

    campaign = models.ForeignKey(Campaign, models.CASCADE, related_name="indicators")
    kind = models.CharField(max_length=16)
    value = models.CharField(max_length=2048)
    joins = models.BooleanField(default=False)
    confirmed = models.BooleanField(default=False)
    resolved_from = models.CharField(max_length=255, default="", blank=True)
    added_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "watch_campaign_indicator"
        indexes = (
            models.Index(fields=["kind", "value"], name="watch_indicator_value"),
            models.Index(fields=["resolved_from"], name="watch_indicator_led_from"),
        )
        constraints = (
            models.UniqueConstraint(
                fields=["campaign", "kind", "value", "resolved_from"], name="watch_indicator_once"
            ),
        )


class Sighting(models.Model):
    """Evidence of one observer. Confidential: nobody outside of ``watch`` reads who it was."""

    id = id_field("sig")
    detector = models.CharField(max_length=40)
    door = models.CharField(max_length=20)
    collectivite_id = reference(default="", blank=True)
    person_id = reference(default="", blank=True)
    message = reference(default="", blank=True)
    campaign = models.ForeignKey(Campaign, models.PROTECT, null=True, default=None, related_name="seen")
    seen_at = models.DateTimeField()
    received_at = models.DateTimeField(default=clock.now)
    indicators = models.JSONField(default=list)
    evidence = models.JSONField(default=dict)

    class Meta:
        db_table = "watch_sighting"
        indexes = (models.Index(fields=["collectivite_id", "received_at"], name="watch_sighting_owner"),)
