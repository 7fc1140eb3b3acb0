"""Boîtiers: who they are, what they enforce, what they refused, what they should be.

Privacy: no address of a LAN and no name that is not listed: a box sends neither.
"""

from __future__ import annotations

from django.db import models

from beffroi.core.fields import id_field, reference
from beffroi.lib import clock


class Box(models.Model):
    """``public_key``: base64url of 32 bytes; ``fingerprint``: as on the label. A revoked box never returns.

    ``replaces``: the box whose place this one takes when it is confirmed.
    """

    class State(models.TextChoices):
        PENDING = "pending"
        ACTIVE = "active"
        REVOKED = "revoked"

    id = id_field("box")
    collectivite_id = reference()
    serial = models.CharField(max_length=64)
    public_key = models.CharField(max_length=64)
    fingerprint = models.CharField(max_length=40)
    state = models.CharField(max_length=16, choices=State, default=State.PENDING)
    agent_version = models.CharField(max_length=40, default="")
    created_at = models.DateTimeField(default=clock.now)
    enrolled_at = models.DateTimeField(null=True, default=None)
    confirmed_by = models.CharField(max_length=80, default="")
    revoked_at = models.DateTimeField(null=True, default=None)
    last_seen_at = models.DateTimeField(null=True, default=None)
    policy_version = models.IntegerField(default=0)
    rolled_back_version = models.IntegerField(default=0)
    replaces = reference(default="", blank=True)

    class Meta:
        db_table = "box"
        indexes = (models.Index(fields=["collectivite_id", "state"], name="box_of"),)


class EnrolmentCode(models.Model):
    """``locator``: a hash of the code's secret; the code itself is shown once and kept nowhere."""

    locator = models.CharField(primary_key=True, max_length=64)
    collectivite_id = reference()
    created_by = models.CharField(max_length=80)
    created_at = models.DateTimeField(default=clock.now)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, default=None)
    box_id = reference(default="", blank=True)
    replaces = reference(default="", blank=True)

    class Meta:
        db_table = "box_enrolment_code"

    def __str__(self) -> str:
        return self.locator[:8]


class BoxTold(models.Model):
    """Up to which number all posts of facts of a box are here; written by stream in the transaction of the facts. A
    database restored from a backup brings the number that belongs to it, and the box tells again what came after."""

    box_id = reference(primary_key=True)
    number = models.BigIntegerField()

    class Meta:
        db_table = "box_told"


class BoxRun(models.Model):
    """The number that a box's agent drew at its start, and the one before; written by stream. ``twice_at``: when the
    former one came back, so that two machines follow with one identity."""

    box_id = reference(primary_key=True)
    number = models.CharField(max_length=32)
    former = models.CharField(max_length=32, default="", blank=True)
    twice_at = models.DateTimeField(null=True, default=None)

    class Meta:
        db_table = "box_run"


class BoxAck(models.Model):
    """What a box enforces of one channel; written by stream. ``enforced_at_ms``: the box's clock."""

    box_id = reference()
    channel = models.CharField(max_length=80)
    epoch = models.IntegerField()
    version = models.BigIntegerField()
    enforced_at_ms = models.BigIntegerField()
    received_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "box_ack"
        constraints = (models.UniqueConstraint(fields=["box_id", "channel"], name="box_ack_once"),)


class FlowCount(models.Model):
    """Attempts on, or look-ups of, one listed thing that were refused in one collectivité on one day (UTC).

    docs/internals/counting.md says what is one attempt and what is one look-up.
    """

    collectivite_id = reference()
    day = models.DateField()
    kind = models.CharField(max_length=16)
    value = models.CharField(max_length=2048)
    direction = models.CharField(max_length=8)  # in, out, or name
    count = models.BigIntegerField(default=0)
    entry_id = reference(default="", blank=True)
    last_at = models.DateTimeField()

    class Meta:
        db_table = "box_flow_count"
        indexes = (
            models.Index(fields=["collectivite_id", "-last_at"], name="box_flow_recent"),
            models.Index(fields=["value"], name="box_flow_value"),
        )
        constraints = (
            models.UniqueConstraint(
                fields=["collectivite_id", "day", "kind", "value", "direction"], name="box_flow_once"
            ),
        )


class RefusedDay(models.Model):
    """What the kernels of a collectivité's boxes refused on one day (UTC), exact: packets, and attempts with those
    that no FlowCount names."""

    collectivite_id = reference()
    day = models.DateField()
    direction = models.CharField(max_length=8)  # in or out
    packets = models.BigIntegerField(default=0)
    attempts = models.BigIntegerField(default=0)

    class Meta:
        db_table = "box_refused_day"
        constraints = (
            models.UniqueConstraint(
                fields=["collectivite_id", "day", "direction"], name="box_refused_day_once"
            ),
        )


class RelayDay(models.Model):
    """What one device of a collectivité's relay handed over on one day (UTC). ``device``: its name in the policy, ""
    for machines that it does not name. ``reason``: a code of why the last refusal was made, at ``refused_at``."""

    collectivite_id = reference()
    day = models.DateField()
    device = models.CharField(max_length=60, default="", blank=True)
    sent = models.BigIntegerField(default=0)
    refused = models.BigIntegerField(default=0)
    reason = models.CharField(max_length=20, default="", blank=True)
    refused_at = models.DateTimeField(null=True, default=None)
    last_at = models.DateTimeField()

    class Meta:
        db_table = "box_relay_day"
        constraints = (
            models.UniqueConstraint(fields=["collectivite_id", "day", "device"], name="box_relay_day_once"),
        )


class _Asked(models.Model):
    """What a référent asks of the Département, and its answer (``asking``). ``reason``: why it was declined."""

    collectivite_id = reference()
    purpose = models.CharField(max_length=300)
    asked_by = models.CharField(max_length=80)
    asked_at = models.DateTimeField(default=clock.now)
    decided_by = models.CharField(max_length=80, default="", blank=True)
    decided_at = models.DateTimeField(null=True, default=None)
    reason = models.CharField(max_length=300, default="", blank=True)

    class Meta:
        abstract = True

    def told(self) -> dict[str, str | int]:
        """What the audit log has of it beside who and when."""
        return {}


class RelayRequest(_Asked):
    """A référent asks for a relay, or for another one. ``sender``: the functional mailbox; ``hour``: mails an hour;
    ``recipients``: lines of @domain or address, "" for the collectivité's own domains. At most
    one of a collectivité waits."""

    class State(models.TextChoices):
        ASKED = "asked"
        ACCEPTED = "accepted"
        DECLINED = "declined"
        WITHDRAWN = "withdrawn"

    id = id_field("rlr")
    sender = models.CharField(max_length=254)
    hour = models.IntegerField()
    recipients = models.TextField(default="", blank=True)
    state = models.CharField(max_length=16, choices=State, default=State.ASKED)

    class Meta:
        db_table = "box_relay_request"
        indexes = (models.Index(fields=["collectivite_id", "-asked_at"], name="box_relay_request_of"),)
        constraints = (
            models.UniqueConstraint(
                fields=["collectivite_id"], condition=models.Q(state="asked"), name="box_relay_request_once"
            ),
        )


class OpeningRequest(_Asked):
    """A référent asks that somebody may come in from the internet; what became of it. ``machine``: its address in the
    town hall; ``sources``: lines of addresses or ranges; ``until``: as it was asked for, then as it was granted.
    ``ended_by``: who closed it before its time, "" for nobody."""

    class State(models.TextChoices):
        ASKED = "asked"
        ACCEPTED = "accepted"
        DECLINED = "declined"
        WITHDRAWN = "withdrawn"
        ENDED = "ended"

    id = id_field("opr")
    machine = models.CharField(max_length=64)
    protocol = models.CharField(max_length=8)
    port = models.IntegerField()
    sources = models.TextField()
    until = models.DateTimeField()
    state = models.CharField(max_length=16, choices=State, default=State.ASKED)
    ended_by = models.CharField(max_length=80, default="", blank=True)
    ended_at = models.DateTimeField(null=True, default=None)

    class Meta:
        db_table = "box_opening_request"
        indexes = (
            models.Index(fields=["collectivite_id", "-asked_at"], name="box_opening_request_of"),
            models.Index(fields=["state", "until"], name="box_opening_request_due"),
        )

    def told(self) -> dict[str, str | int]:
        until = {"until": self.until.isoformat()} if self.state == self.State.ACCEPTED else {}
        return {"protocol": self.protocol, "port": self.port, **until}


class BoxNotice(models.Model):
    """What a box would not do: a protected entry refused, a policy rolled back."""

    id = models.CharField(primary_key=True, max_length=120)
    box_id = reference()
    collectivite_id = reference()
    kind = models.CharField(max_length=32)
    entry_id = reference(default="", blank=True)
    indicator_kind = models.CharField(max_length=16, default="")
    indicator_value = models.CharField(max_length=2048, default="")
    policy_version = models.IntegerField(default=0)
    reason = models.CharField(max_length=200)
    at = models.DateTimeField()

    class Meta:
        db_table = "box_notice"
        indexes = (models.Index(fields=["collectivite_id", "-at"], name="box_notice_recent"),)


class BoxPolicy(models.Model):
    """Every policy that a collectivité's boxes ever had; the highest version counts. ``restores``: the version whose
    content this one has again, 0 for none. ``batch``: changed together with others, "" for alone."""

    collectivite_id = reference()
    policy_version = models.IntegerField()
    policy = models.JSONField()
    changed_by = models.CharField(max_length=80)
    reason = models.CharField(max_length=200, default="", blank=True)
    restores = models.IntegerField(default=0)
    batch = models.CharField(max_length=40, default="", blank=True)
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "box_policy"
        constraints = (
            models.UniqueConstraint(fields=["collectivite_id", "policy_version"], name="box_policy_once"),
        )


class LearnedFlow(models.Model):
    """What a town hall lived on while its box observed. ``remote``: a /24 or /48, empty for outbound."""

    class State(models.TextChoices):
        OPEN = "open"
        ACCEPTED = "accepted"
        IGNORED = "ignored"

    collectivite_id = reference()
    direction = models.CharField(max_length=8)
    protocol = models.CharField(max_length=8)
    port = models.IntegerField()
    remote = models.CharField(max_length=64, default="", blank=True)
    service = models.CharField(max_length=64, default="", blank=True)
    count = models.BigIntegerField(default=0)
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    state = models.CharField(max_length=16, choices=State, default=State.OPEN)
    decided_by = models.CharField(max_length=80, default="", blank=True)
    decided_at = models.DateTimeField(null=True, default=None)

    class Meta:
        db_table = "box_learned_flow"
        constraints = (
            models.UniqueConstraint(
                fields=["collectivite_id", "direction", "protocol", "port", "remote", "service"],
                name="box_learned_flow_once",
            ),
        )


class BoxBypass(models.Model):
    """Machines of a town hall that go round its box, by kind, as last told; or one that its box saw doing what somebody
    should look at, by the opaque ``machine`` that the box calls it."""

    collectivite_id = reference()
    kind = models.CharField(max_length=64)
    machine = models.CharField(max_length=40, default="", blank=True)
    count = models.BigIntegerField(default=0)
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()

    class Meta:
        db_table = "box_bypass"
        constraints = (
            models.UniqueConstraint(fields=["collectivite_id", "kind", "machine"], name="box_bypass_once"),
        )


class BoxDiagnosis(models.Model):
    """A question how a box is, and its answer: short texts by name. Deleted when it expires."""

    id = id_field("dgn")
    box_id = reference()
    collectivite_id = reference()
    asked_by = models.CharField(max_length=80)
    asked_at = models.DateTimeField(default=clock.now)
    answered_at = models.DateTimeField(null=True, default=None)
    expires_at = models.DateTimeField()
    report = models.JSONField(default=dict)

    class Meta:
        db_table = "box_diagnosis"
        indexes = (models.Index(fields=["box_id", "-asked_at"], name="box_diagnosis_of"),)


class BoxRelease(models.Model):
    """Software for boxes, as signed offline. ``line``: the signed bytes that boxes verify. ``stage``: see rollout."""

    class State(models.TextChoices):
        STORED = "stored"
        RUNNING = "running"
        STOPPED = "stopped"
        DONE = "done"

    number = models.BigIntegerField(primary_key=True)
    version = models.CharField(max_length=40)
    sha256 = models.CharField(max_length=64)
    size_bytes = models.BigIntegerField()
    line = models.TextField()
    expires_at = models.DateTimeField()
    state = models.CharField(max_length=16, choices=State, default=State.STORED)
    stage = models.IntegerField(default=0)
    stage_at = models.DateTimeField(null=True, default=None)
    resumed_at = models.DateTimeField(null=True, default=None)
    canary_id = reference(default="", blank=True)
    stopped_because = models.CharField(max_length=200, default="", blank=True)
    changed_by = models.CharField(max_length=80, default="", blank=True)
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "box_release"


class BoxUpdate(models.Model):
    """A box that was asked to install a release, and what it told of it. ``outcome``: "" until it did."""

    box_id = reference()
    collectivite_id = reference()
    number = models.BigIntegerField()
    asked_at = models.DateTimeField(default=clock.now)
    outcome = models.CharField(max_length=16, default="", blank=True)
    reason = models.CharField(max_length=200, default="", blank=True)
    told_at = models.DateTimeField(null=True, default=None)

    class Meta:
        db_table = "box_update"
        constraints = (models.UniqueConstraint(fields=["box_id", "number"], name="box_update_once"),)
