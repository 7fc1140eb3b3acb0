"""Runs of the purge: when, up to which dates, how much of each category. Numbers only."""

from __future__ import annotations

from django.db import models

from beffroi.lib import clock


class RetentionRun(models.Model):
    """``category`` and ``after``: where a running one stands; both move with what was deleted, in one transaction.
    ``reason``: why one was refused. ``confirmed_by``: the account whose word about the clock counted. ``checkpoint``:
    the last one of the audit log at its begin; later ones tell how time went on. The key is the order of the runs,
    whatever the clock said."""

    class State(models.TextChoices):
        RUNNING = "running"
        DONE = "done"
        REFUSED = "refused"

    state = models.CharField(max_length=16, choices=State, default=State.RUNNING)
    reason = models.CharField(max_length=32, default="", blank=True)
    confirmed_by = models.CharField(max_length=80, default="", blank=True)
    started_at = models.DateTimeField(default=clock.now, db_index=True)
    finished_at = models.DateTimeField(null=True, default=None)
    checkpoint = models.BigIntegerField(default=0)
    category = models.CharField(max_length=40, default="", blank=True)
    after = models.CharField(max_length=120, default="", blank=True)

    class Meta:
        db_table = "retention_run"


class RetentionCount(models.Model):
    """What one run deleted of one category: everything of before ``cutoff`` that nothing else needs."""

    run = models.ForeignKey(RetentionRun, models.CASCADE, related_name="counts")
    category = models.CharField(max_length=40)
    cutoff = models.DateTimeField()
    deleted = models.BigIntegerField(default=0)

    class Meta:
        db_table = "retention_count"
        constraints = (models.UniqueConstraint(fields=["run", "category"], name="retention_count_once"),)
