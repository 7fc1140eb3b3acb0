"""How the mails went that the centre sends to itself."""

from __future__ import annotations

from django.db import models

from beffroi.lib import clock


class ProbeRun(models.Model):
    """One mail by one path (``paths.Result``). Of no collectivité."""

    path = models.CharField(max_length=16)
    at = models.DateTimeField(default=clock.now, db_index=True)
    code = models.CharField(max_length=16, default="", blank=True)
    duration_ms = models.IntegerField()

    class Meta:
        db_table = "mail_probe_run"
