"""Decisions, and the signed feed that carries them to every door.

Life of a decision: active -> expired | revoked. It holds no reporter: the feed goes to many hands.
"""

from __future__ import annotations

from beffroi_protocol.indicators import Indicator, Kind
from django.db import models

from beffroi.core.fields import id_field, reference
from beffroi.lib import clock

SCOPE_ALL = "all"


class Decision(models.Model):
    class State(models.TextChoices):
        ACTIVE = "active"
        EXPIRED = "expired"
        REVOKED = "revoked"

    id = id_field("dec")
    kind = models.CharField(max_length=16)
    value = models.CharField(max_length=2048)
    action = models.CharField(max_length=16)
    scope = models.CharField(max_length=40, default=SCOPE_ALL)
    state = models.CharField(max_length=16, choices=State)
    reason = models.CharField(max_length=80)
    evidence = models.JSONField(default=dict)
    rule = models.CharField(max_length=80)
    campaign_id = reference(default="", blank=True)
    proposed_at = models.DateTimeField(default=clock.now)
    activated_at = models.DateTimeField(null=True, default=None)
    expires_at = models.DateTimeField(null=True, default=None)
    ended_at = models.DateTimeField(null=True, default=None)
    decided_by = models.CharField(max_length=80)
    ended_by = models.CharField(max_length=80, default="")
    end_reason = models.CharField(max_length=80, default="")

    class Meta:
        db_table = "decision"
        indexes = (
            models.Index(fields=["state", "expires_at"], name="decision_due"),
            models.Index(fields=["campaign_id"], name="decision_campaign"),
        )
        constraints = (
            models.UniqueConstraint(
                fields=["kind", "value", "scope"],
                condition=models.Q(state="active"),
                name="decision_active_once",
            ),
        )

    def __str__(self) -> str:
        return self.id

    @property
    def indicator(self) -> Indicator:
        return Indicator(Kind(self.kind), self.value)


class IndicatorList(models.Model):
    """A bulk list in force, by name. Its content is the file of this digest in STATE/lists."""

    id = id_field("lst")
    name = models.CharField(max_length=64, unique=True)
    kind = models.CharField(max_length=16)
    scope = models.CharField(max_length=40, default=SCOPE_ALL)
    action = models.CharField(max_length=16)
    reason = models.CharField(max_length=80)
    sha256 = models.CharField(max_length=64)
    size_bytes = models.BigIntegerField()
    count = models.BigIntegerField()
    source = models.CharField(max_length=200)
    licence = models.CharField(max_length=100)
    published_at = models.DateTimeField(default=clock.now)
    published_by = models.CharField(max_length=80)
    expires_at = models.DateTimeField(null=True, default=None)

    class Meta:
        db_table = "indicator_list"

    def __str__(self) -> str:
        return self.name


class FeedBatch(models.Model):
    """One signed line, exactly as sent: doors and tests verify these bytes."""

    channel = models.CharField(max_length=80)
    epoch = models.IntegerField()
    to_version = models.BigIntegerField()
    line = models.BinaryField()
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "feed_batch"
        constraints = (
            models.UniqueConstraint(fields=["channel", "epoch", "to_version"], name="feed_batch_once"),
        )

    def __str__(self) -> str:
        return f"{self.channel}:{self.epoch}:{self.to_version}"


class FeedChannel(models.Model):
    """Where a channel stands."""

    channel = models.CharField(primary_key=True, max_length=80)
    epoch = models.IntegerField(default=1)
    version = models.BigIntegerField(default=0)
    head = models.CharField(max_length=64, default="")
    updated_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "feed_channel"

    def __str__(self) -> str:
        return self.channel


class PublishCursor(models.Model):
    """How far the publisher read the outbox."""

    name = models.CharField(primary_key=True, max_length=80)
    position = models.BigIntegerField(default=0)

    class Meta:
        db_table = "publish_cursor"

    def __str__(self) -> str:
        return self.name
