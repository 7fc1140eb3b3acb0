"""Decisions, and the signed feed that carries them to every door.

Life of a decision: strong evidence makes it active at once; weak evidence: observed -> canary -> active, or
-> review (waits for a person). All end as expired or revoked. It holds no reporter: the feed goes to many hands.
"""

from __future__ import annotations

from beffroi_protocol.indicators import Indicator, Kind
from django.db import models

from beffroi.core.fields import id_field, reference
from beffroi.lib import clock

SCOPE_ALL = "all"
ENDS_AT_ONCE = 10
"""So many end, or are weighed, at once: on SQLite each decision that comes meanwhile waits for them, 3 ms each."""


class Decision(models.Model):
    class State(models.TextChoices):
        """``OBSERVED``: boxes look back and count. ``CANARY``: a few communes block, the others observe. ``ACTIVE``:
        in force for its whole scope. ``REVIEW``: in force nowhere, a person is to decide."""

        OBSERVED = "observed"
        CANARY = "canary"
        ACTIVE = "active"
        REVIEW = "review"
        EXPIRED = "expired"
        REVOKED = "revoked"

    OPEN = (State.OBSERVED, State.CANARY, State.ACTIVE, State.REVIEW)

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
    strength = models.CharField(max_length=8, default="strong")
    state_since = models.DateTimeField(default=clock.now)
    canaries = models.TextField(default="", blank=True)  # " col_a col_b ": one can be looked for
    review_reason = models.CharField(max_length=80, default="", blank=True)
    tried_s = models.FloatField(default=0.0, db_default=0.0)
    """Working time of the present state until ``looked_at``; written where the clock jumped (``stage_clock``)."""
    looked_at = models.DateTimeField(null=True, default=None)

    class Meta:
        db_table = "decision"
        indexes = (
            models.Index(fields=["state", "expires_at"], name="decision_due"),
            models.Index(fields=["campaign_id"], name="decision_campaign"),
            models.Index(fields=["value"], name="decision_value"),
        )
        constraints = (
            models.UniqueConstraint(
                fields=["kind", "value", "scope"],
                condition=models.Q(state__in=("observed", "canary", "active", "review")),
                name="decision_open_once",
            ),
        )

    @property
    def indicator(self) -> Indicator:
        return Indicator(Kind(self.kind), self.value)

    @property
    def canary_communes(self) -> list[str]:
        return self.canaries.split()

    def enter(self, state: State) -> None:
        """Begin a state now; the caller saves."""
        self.state, self.state_since = state, clock.now()
        self.tried_s, self.looked_at = 0.0, None


class StageClock(models.Model):
    """One row: the clock on the wall and the seconds since the start ``boot`` of the machine, at the last look."""

    at = models.DateTimeField()
    steady_s = models.FloatField()
    boot = models.CharField(max_length=40)

    class Meta:
        db_table = "decision_clock"


class LocalException(models.Model):
    """What one collectivité lets through for a time, whatever is decided for all."""

    class State(models.TextChoices):
        ACTIVE = "active"
        EXPIRED = "expired"
        ENDED = "ended"

    id = id_field("exc")
    collectivite_id = reference()
    kind = models.CharField(max_length=16)
    value = models.CharField(max_length=2048)
    reason = models.CharField(max_length=500)
    decision_id = reference(default="", blank=True)
    state = models.CharField(max_length=16, choices=State, default=State.ACTIVE)
    created_at = models.DateTimeField(default=clock.now)
    created_by = models.CharField(max_length=80)
    by_departement = models.BooleanField(default=False)
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, default=None)
    ended_by = models.CharField(max_length=80, default="")

    class Meta:
        db_table = "local_exception"
        indexes = (models.Index(fields=["state", "expires_at"], name="local_exception_due"),)
        constraints = (
            models.UniqueConstraint(
                fields=["kind", "value", "collectivite_id"],
                condition=models.Q(state="active"),
                name="local_exception_once",
            ),
        )

    @property
    def indicator(self) -> Indicator:
        return Indicator(Kind(self.kind), self.value)


class NeverAgain(models.Model):
    """What is never decided again, and why. ``until`` None: until a person takes it back.

    ``pending``: the centre itself let an entry of lists pass, which ``communes`` communes live on; a person is to
    answer, and meanwhile it stops no decision.
    """

    id = id_field("nev")
    kind = models.CharField(max_length=16)
    value = models.CharField(max_length=2048)
    reason = models.CharField(max_length=500)
    created_at = models.DateTimeField(default=clock.now)
    created_by = models.CharField(max_length=80)
    until = models.DateTimeField(null=True, default=None)
    revoked_at = models.DateTimeField(null=True, default=None)
    revoked_by = models.CharField(max_length=80, default="")
    revoke_reason = models.CharField(max_length=500, default="")
    pending = models.BooleanField(default=False)
    communes = models.IntegerField(default=0)

    class Meta:
        db_table = "never_again"
        constraints = (
            models.UniqueConstraint(
                fields=["kind", "value"], condition=models.Q(revoked_at=None), name="never_again_once"
            ),
        )

    @property
    def indicator(self) -> Indicator:
        return Indicator(Kind(self.kind), self.value)


class Appeal(models.Model):
    """A commune says that a decision is wrong, or (``decision_id`` "") that lists name ``kind``, ``value`` wrongly.
    ``text`` is for the Département's eyes."""

    class State(models.TextChoices):
        OPEN = "open"
        ACCEPTED = "accepted"
        REFUSED = "refused"

    id = id_field("apl")
    collectivite_id = reference()
    decision_id = reference(default="", blank=True)
    kind = models.CharField(max_length=16, default="", blank=True)
    value = models.CharField(max_length=2048, default="", blank=True)
    text = models.CharField(max_length=2000)
    state = models.CharField(max_length=16, choices=State, default=State.OPEN)
    created_at = models.DateTimeField(default=clock.now)
    created_by = models.CharField(max_length=80)
    answered_at = models.DateTimeField(null=True, default=None)
    answered_by = models.CharField(max_length=80, default="")
    answer = models.CharField(max_length=2000, default="")

    class Meta:
        db_table = "appeal"
        indexes = (models.Index(fields=["state", "created_at"], name="appeal_waiting"),)
        constraints = (
            models.UniqueConstraint(
                fields=["decision_id", "kind", "value", "collectivite_id"],
                condition=models.Q(state="open"),
                name="appeal_open_once",
            ),
        )

    @property
    def indicator(self) -> Indicator | None:
        """What lists name; None of an appeal against a decision."""
        return Indicator(Kind(self.kind), self.value) if self.kind else None


class AppealAddition(models.Model):
    """What somebody of the commune wrote to an appeal that was open already; answered with it."""

    id = id_field("apa")
    appeal_id = reference(db_index=True)
    collectivite_id = reference()
    text = models.CharField(max_length=2000)
    created_at = models.DateTimeField(default=clock.now)
    created_by = models.CharField(max_length=80)

    class Meta:
        db_table = "appeal_addition"


class DecisionEffect(models.Model):
    """What a decision met in one collectivité: counts that its boxes told, never who or what in the town hall."""

    decision_id = reference()
    collectivite_id = reference()
    looked_back = models.BigIntegerField(default=0)
    regular_days = models.IntegerField(default=0)
    blocked_in = models.BigIntegerField(default=0)
    blocked_out = models.BigIntegerField(default=0)
    first_at = models.DateTimeField(default=clock.now)
    last_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "decision_effect"
        constraints = (
            models.UniqueConstraint(fields=["decision_id", "collectivite_id"], name="decision_effect_once"),
        )


class EntryUse(models.Model):
    """What one collectivité's boxes told of one listed thing: on how many of 30 days it met it before it was listed,
    on how many it was refused going out. Never who or what in the town hall."""

    kind = models.CharField(max_length=16)
    value = models.CharField(max_length=2048)
    collectivite_id = reference()
    regular_days = models.IntegerField(default=0)
    refused_days = models.IntegerField(default=0)
    refused_at = models.DateTimeField(null=True, default=None)
    last_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "entry_use"
        constraints = (
            models.UniqueConstraint(fields=["kind", "value", "collectivite_id"], name="entry_use_once"),
        )


class IndicatorList(models.Model):
    """A bulk list in force, by name. Its content is the file of this digest in STATE/lists."""

    id = id_field("lst")
    name = models.CharField(max_length=64, unique=True)
    kind = models.CharField(max_length=16)
    scope = models.CharField(max_length=40, default=SCOPE_ALL)
    action = models.CharField(max_length=16)
    reason = models.CharField(max_length=80)
    threat = models.CharField(max_length=40, default="", blank=True)
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


class ListGrowth(models.Model):
    """What one publication of a list added: the values of this digest's file in STATE/lists. Tells since when a value
    is listed, and what is to be looked back on."""

    list_id = reference()
    at = models.DateTimeField(default=clock.now)
    sha256 = models.CharField(max_length=64)
    size_bytes = models.BigIntegerField()
    count = models.BigIntegerField()

    class Meta:
        db_table = "list_growth"
        indexes = (models.Index(fields=["list_id", "-at"], name="list_growth_of"),)


class SharedAddress(models.Model):
    """An address that serves ``name``, the site or a mail server of a member or of a protected name."""

    address = models.CharField(primary_key=True, max_length=45)
    name = models.CharField(max_length=255)
    seen_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "shared_address"


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


class FeedChannel(models.Model):
    """Where a channel stands. ``saved_version``: of its last snapshot on disk in this epoch, from which a start goes
    on; 0: none, so every line is needed."""

    channel = models.CharField(primary_key=True, max_length=80)
    epoch = models.IntegerField(default=1)
    version = models.BigIntegerField(default=0)
    head = models.CharField(max_length=64, default="")
    saved_version = models.BigIntegerField(db_default=0)  # stream inserts rows by plain SQL
    updated_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "feed_channel"


class PublishCursor(models.Model):
    """How far the publisher read the outbox."""

    name = models.CharField(primary_key=True, max_length=80)
    position = models.BigIntegerField(default=0)

    class Meta:
        db_table = "publish_cursor"
