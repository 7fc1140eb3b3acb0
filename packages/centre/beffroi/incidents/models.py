"""Incidents (in French "dossiers"): what no machine can put right, with what is known, who does what, and until when.

Privacy: every row belongs to one collectivité, which sees all of it; no other one does. What was captured as evidence
is kept with the incident, also when the source forgets it after 30 days.
"""

from __future__ import annotations

from django.db import models

from beffroi.core.fields import id_field, reference
from beffroi.incidents.rules import Audience, Kind, Severity
from beffroi.lib import clock

RESOLVED = "resolved"
"""The one reason for closing under which something did happen."""


class Incident(models.Model):
    """``subject``: what it is about within its kind (a decision, a person, a detector): one open incident for each.
    ``decision_id``: whose undoing closes it; ``person_id``: whom it concerns; ``owner_id``: administrator.
    ``complaint_since``: a complaint is under way, so the incident is kept whatever its age."""

    class State(models.TextChoices):
        OPEN = "open"
        IN_PROGRESS = "in_progress"
        WAITING = "waiting_commune"
        CLOSED = "closed"

    id = id_field("inc")
    collectivite_id = reference()
    kind = models.CharField(max_length=32, choices=[(k.value, k.value) for k in Kind])
    subject = models.CharField(max_length=80)
    severity = models.CharField(max_length=8, choices=[(s.value, s.value) for s in Severity])
    state = models.CharField(max_length=16, choices=State, default=State.OPEN)
    owner_id = reference(default="", blank=True)
    decision_id = reference(default="", blank=True, db_index=True)
    person_id = reference(default="", blank=True)
    occurred_at = models.DateTimeField()
    opened_at = models.DateTimeField(default=clock.now)
    closed_at = models.DateTimeField(null=True, default=None)
    closed_by = models.CharField(max_length=80, default="", blank=True)
    close_reason = models.CharField(max_length=32, default="", blank=True)
    complaint_since = models.DateTimeField(null=True, default=None)

    class Meta:
        db_table = "incident"
        indexes = (models.Index(fields=["collectivite_id", "state"], name="incident_of"),)
        constraints = (
            models.UniqueConstraint(
                fields=["collectivite_id", "kind", "subject"],
                condition=~models.Q(state="closed"),
                name="incident_open_once",
            ),
        )

    @property
    def is_open(self) -> bool:
        return self.state != self.State.CLOSED

    @property
    def dates_stand(self) -> bool:
        """Whether the dates of the law are still to be answered; what turned out to be nothing has none."""
        return self.is_open or self.close_reason == RESOLVED


class IncidentEntry(models.Model):
    """One line of the timeline. ``code`` says what happened, ``data`` its values; ``text``: what a person wrote.

    ``at``: when it happened; ``recorded_at``: when it was written down."""

    incident = models.ForeignKey(Incident, models.CASCADE, related_name="entries")
    collectivite_id = reference()
    at = models.DateTimeField()
    recorded_at = models.DateTimeField(default=clock.now)
    actor_kind = models.CharField(max_length=16)
    actor_id = models.CharField(max_length=80)
    code = models.CharField(max_length=32)
    data = models.JSONField(default=dict)
    text = models.CharField(max_length=2000, default="", blank=True)

    class Meta:
        db_table = "incident_entry"
        indexes = (models.Index(fields=["incident", "at"], name="incident_entry_at"),)


class IncidentTask(models.Model):
    """Something that one side has to do; ``due_at``: a date that the law or a contract sets.

    ``why``: it is answered, and was not done: the reason in a person's own words."""

    id = id_field("tsk")
    incident = models.ForeignKey(Incident, models.CASCADE, related_name="tasks")
    collectivite_id = reference()
    code = models.CharField(max_length=32)
    audience = models.CharField(max_length=16, choices=[(a.value, a.value) for a in Audience])
    position = models.IntegerField()
    due_at = models.DateTimeField(null=True, default=None)
    done_at = models.DateTimeField(null=True, default=None)
    done_by = models.CharField(max_length=80, default="", blank=True)
    why = models.CharField(max_length=500, default="", blank=True)

    class Meta:
        db_table = "incident_task"
        constraints = (models.UniqueConstraint(fields=["incident", "code"], name="incident_task_once"),)


class IncidentEvidence(models.Model):
    """What a source said, as it was captured: ``content`` is canonical JSON and ``sha256`` its hash.

    ``at``: the time of what it tells; ``captured_at``: when it was kept here."""

    id = id_field("evd")
    incident = models.ForeignKey(Incident, models.CASCADE, related_name="evidence")
    collectivite_id = reference()
    source = models.CharField(max_length=32)
    at = models.DateTimeField()
    captured_at = models.DateTimeField(default=clock.now)
    content = models.TextField()
    sha256 = models.CharField(max_length=64)

    class Meta:
        db_table = "incident_evidence"
        constraints = (models.UniqueConstraint(fields=["incident", "sha256"], name="incident_evidence_once"),)


class IncidentFile(models.Model):
    """A content of the Coffre that an incident is about. ``finding``: what the scan found in it, until ``released_at``;
    ``decision_id``: what holds it, until ``undone_at``; either may be "". ``count``: files and earlier versions that
    had it when it was told."""

    incident = models.ForeignKey(Incident, models.CASCADE, related_name="files")
    collectivite_id = reference()
    sha256 = models.CharField(max_length=64)
    at = models.DateTimeField()
    count = models.BigIntegerField(default=0)
    finding = models.CharField(max_length=20, default="", blank=True)
    names = models.CharField(max_length=200, default="", blank=True)
    released_at = models.DateTimeField(null=True, default=None)
    decision_id = reference(default="", blank=True, db_index=True)
    undone_at = models.DateTimeField(null=True, default=None)

    class Meta:
        db_table = "incident_file"
        indexes = (models.Index(fields=["collectivite_id", "sha256"], name="incident_file_of"),)
        constraints = (models.UniqueConstraint(fields=["incident", "sha256"], name="incident_file_once"),)

    @property
    def is_held(self) -> bool:
        """As ``HELD``."""
        found, decided = self.finding and not self.released_at, self.decision_id and not self.undone_at
        return bool(found or decided)


HELD = (~models.Q(finding="") & models.Q(released_at=None)) | (
    ~models.Q(decision_id="") & models.Q(undone_at=None)
)


class Encounter(models.Model):
    """What looking back found for one decision, in one collectivité, at one door. ``count``: flows or sign-ins;
    ``remediated`` and ``remaining``: people whose sessions were ended, or were not. ``told``: what a boîtier said."""

    decision_id = reference()
    collectivite_id = reference()
    door = models.CharField(max_length=16)
    count = models.BigIntegerField(default=0)
    days = models.IntegerField(default=0)
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    remediated = models.IntegerField(default=0)
    remaining = models.IntegerField(default=0)
    incident_id = reference(default="", blank=True)
    told = models.JSONField(default=dict)

    class Meta:
        db_table = "incident_encounter"
        constraints = (
            models.UniqueConstraint(
                fields=["decision_id", "collectivite_id", "door"], name="incident_encounter_once"
            ),
        )
