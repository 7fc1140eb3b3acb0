"""Restores of mail that were asked for, and what became of them. Backups themselves are no rows (``told``)."""

from __future__ import annotations

from django.db import models

from beffroi.core.fields import id_field, reference
from beffroi.lib import clock


class Restore(models.Model):
    """``at``: the moment as of which (UTC). ``folder``, ``search``, ``message_id``: what of it, "" for all; the words
    are erased when it is done. ``by_owner``: asked by who reads the mailbox, so what is private comes back as well.
    ``into``: the folder of the mailbox that gets the copies, "" for where they were. ``found``: mails that were
    missing; ``present``: that lay there; ``left_out``: marked private. ``as_of``: the backup that was used.
    """

    class State(models.TextChoices):
        ASKED = "asked"
        RUNNING = "running"
        DONE = "done"
        UNDONE = "undone"
        REFUSED = "refused"

    id = id_field("rst")
    mailbox_id = reference(db_index=True)
    collectivite_id = reference(db_index=True)
    asked_by = models.CharField(max_length=64)
    by_owner = models.BooleanField(default=False)
    at = models.DateTimeField()
    folder = models.CharField(max_length=255, default="", blank=True)
    search = models.CharField(max_length=300, default="", blank=True)
    message_id = models.CharField(max_length=300, default="", blank=True)
    into = models.CharField(max_length=100, default="", blank=True)
    state = models.CharField(max_length=16, choices=State, default=State.ASKED)
    reason = models.CharField(max_length=300, default="", blank=True)
    as_of = models.DateTimeField(null=True, default=None)
    found = models.IntegerField(default=0)
    present = models.IntegerField(default=0)
    left_out = models.IntegerField(default=0)
    created_at = models.DateTimeField(default=clock.now)
    changed_at = models.DateTimeField(default=clock.now, db_index=True)

    class Meta:
        db_table = "mail_restore"
