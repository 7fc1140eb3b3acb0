"""Accounts that sent too much or look taken over: what was refused, and whether a person has to give them back."""

from __future__ import annotations

from django.db import models

from beffroi.core.fields import id_field, reference
from beffroi.lib import clock


class SendingAlarm(models.Model):
    """One account over its limit, until somebody closes it. ``limit``: a field of ``gate.sending.Limits``, or
    "takeover".

    ``contained_at``: since then its app passwords rest, its mail waits and it may not send.
    """

    id = id_field("sal")
    collectivite_id = reference(db_index=True)
    mailbox_id = reference()
    person_id = reference(default="", blank=True)
    limit = models.CharField(max_length=16)
    most = models.IntegerField()
    refused = models.IntegerField(default=0)
    began_at = models.DateTimeField(default=clock.now)
    seen_at = models.DateTimeField(default=clock.now)
    contained_at = models.DateTimeField(null=True, default=None)
    closed_at = models.DateTimeField(null=True, default=None)
    closed_by = reference(default="", blank=True)

    class Meta:
        db_table = "mail_sending_alarm"
        constraints = (
            models.UniqueConstraint(
                fields=["mailbox_id"],
                condition=models.Q(closed_at=None),
                name="mail_sending_alarm_open",
            ),
        )

    def __str__(self) -> str:
        return self.id
