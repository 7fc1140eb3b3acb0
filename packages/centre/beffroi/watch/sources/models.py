"""Outside lists of indicators, and what each of their updates brought.

The indicators themselves are files (``store``): a hundred thousand rows for each round would hold the database.
"""

from __future__ import annotations

from django.db import models

from beffroi.core.fields import id_field
from beffroi.lib import clock


class FeedSource(models.Model):
    """One outside list. ``secret`` is encrypted; ``named``: what its last update in force named."""

    class Format(models.TextChoices):
        PLAIN = "plain"
        CSV = "csv"
        HOSTS = "hosts"
        MISP = "misp"
        MISP_FEED = "misp_feed"
        STIX = "stix"
        TAXII = "taxii"
        RSS = "rss"

    class Weight(models.TextChoices):
        LIST = "list"
        EVIDENCE = "evidence"
        OBSERVE = "observe"

    id = id_field("src")
    name = models.CharField(max_length=80, unique=True)
    slug = models.CharField(max_length=40, unique=True)
    address = models.CharField(max_length=500, default="", blank=True)
    format = models.CharField(max_length=16, choices=Format)
    licence = models.CharField(max_length=100)
    weight = models.CharField(max_length=16, choices=Weight, default=Weight.OBSERVE)
    threat = models.CharField(max_length=40, default="", blank=True)  # beffroi_protocol.threats
    kinds = models.JSONField(default=list)
    options = models.JSONField(default=dict)
    ttl_s = models.IntegerField(default=2 * 86400)
    every_s = models.IntegerField(default=6 * 3600)
    account = models.CharField(max_length=200, default="", blank=True)
    secret = models.TextField(default="", blank=True)
    active = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=clock.now)
    created_by = models.CharField(max_length=80)

    next_at = models.DateTimeField(null=True, default=None)
    asked = models.CharField(max_length=40, default="")
    asked_at = models.DateTimeField(null=True, default=None)
    last_tried_at = models.DateTimeField(null=True, default=None)
    last_success_at = models.DateTimeField(null=True, default=None)
    last_error = models.CharField(max_length=40, default="", blank=True)
    last_error_detail = models.CharField(max_length=120, default="", blank=True)
    failures = models.IntegerField(default=0)
    etag = models.CharField(max_length=200, default="", blank=True)
    last_modified = models.CharField(max_length=100, default="", blank=True)
    named = models.IntegerField(default=0)
    in_force = models.IntegerField(default=0)
    next_gone_at = models.DateTimeField(null=True, default=None)
    notes = models.JSONField(default=list)

    class Meta:
        db_table = "feed_source"


class SourceUpdate(models.Model):
    """What one round brought. Counts are of different indicators, but ``invalid`` and ``unsupported``.

    ``doubts``: codes of ``rules``. ``examples``: protected indicators that it names, for whoever answers.
    """

    class State(models.TextChoices):
        APPLIED = "applied"
        HELD = "held"
        ACCEPTED = "accepted"
        REFUSED = "refused"
        SUPERSEDED = "superseded"

    id = id_field("upd")
    source = models.ForeignKey(FeedSource, models.CASCADE, related_name="updates")
    state = models.CharField(max_length=16, choices=State)
    at = models.DateTimeField(default=clock.now)
    doubts = models.JSONField(default=list)
    examples = models.JSONField(default=list)
    kept = models.IntegerField(default=0)
    invalid = models.IntegerField(default=0)
    unsupported = models.IntegerField(default=0)
    protected = models.IntegerField(default=0)
    never = models.IntegerField(default=0)
    new = models.IntegerField(default=0)
    gone = models.IntegerField(default=0)
    before = models.IntegerField(default=0)
    size_bytes = models.BigIntegerField(default=0)
    etag = models.CharField(max_length=200, default="", blank=True)
    last_modified = models.CharField(max_length=100, default="", blank=True)
    answered_at = models.DateTimeField(null=True, default=None)
    answered_by = models.CharField(max_length=80, default="", blank=True)
    why = models.CharField(max_length=300, default="", blank=True)

    class Meta:
        db_table = "feed_source_update"
        indexes = (models.Index(fields=["source", "at"], name="feed_source_update_at"),)
        constraints = (
            models.UniqueConstraint(
                fields=["source"], condition=models.Q(state="held"), name="feed_source_held_once"
            ),
        )


class SourceTrial(models.Model):
    """What of one kind a source named at once, while boxes observe it; its values are the bulk list ``LIST.trial``.

    ``since``: when it began, or much joined it. ``tried_s``: how long boxes have observed it since, in seconds of
    working time, as of ``looked_at``. ``used``: entries that more communes live on than the budget.
    """

    class State(models.TextChoices):
        """As ``rules.TrialState``."""

        OBSERVING = "observing"
        REVIEW = "review"
        REFUSED = "refused"
        PASSED = "passed"

    source = models.ForeignKey(FeedSource, models.CASCADE, related_name="trials")
    kind = models.CharField(max_length=16)
    state = models.CharField(max_length=16, choices=State, default=State.OBSERVING)
    since = models.DateTimeField(default=clock.now)
    tried_s = models.FloatField(default=0.0)
    looked_at = models.DateTimeField(default=clock.now)
    count = models.IntegerField(default=0)
    used = models.IntegerField(default=0)
    answered_at = models.DateTimeField(null=True, default=None)
    answered_by = models.CharField(max_length=80, default="", blank=True)
    why = models.CharField(max_length=300, default="", blank=True)

    class Meta:
        db_table = "feed_source_trial"
        constraints = (models.UniqueConstraint(fields=["source", "kind"], name="feed_source_trial_once"),)
