"""Aliases: addresses that lead to mailboxes of the same collectivité. And catch-alls, each for a time.

A target is a mailbox, never an alias: nothing can lead in a circle. An address that was an alias stays reserved, for
its collectivité.
"""

from __future__ import annotations

from django.db import models

from beffroi.core.fields import id_field, reference
from beffroi.lib import clock


class Alias(models.Model):
    """``sends``: whoever reads a target may write with this address as sender. One in force for each address: that of
    a collectivité which left stays with it, ended, while the one that continues it has its own."""

    id = id_field("als")
    collectivite_id = reference(db_index=True)
    address = models.CharField(max_length=254, db_index=True)
    sends = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=clock.now)
    ended_at = models.DateTimeField(null=True, default=None)

    class Meta:
        db_table = "mail_alias"
        constraints = (
            models.UniqueConstraint(
                fields=["address"], condition=models.Q(ended_at=None), name="mail_alias_current"
            ),
        )


class AliasTarget(models.Model):
    """A mailbox that an alias leads to, from ``since`` to ``ended_at``. A closed mailbox keeps its row and gets
    nothing; opened again, it gets mail again."""

    id = id_field("alt")
    alias_id = reference(db_index=True)
    collectivite_id = reference()
    mailbox_id = reference(db_index=True)
    since = models.DateTimeField(default=clock.now)
    ended_at = models.DateTimeField(null=True, default=None)

    class Meta:
        db_table = "mail_alias_target"
        constraints = (
            models.UniqueConstraint(
                fields=["alias_id", "mailbox_id"],
                condition=models.Q(ended_at=None),
                name="mail_alias_target_current",
            ),
        )


class CatchAll(models.Model):
    """Where mail for addresses of a domain goes that do not exist, until ``expires_at`` (UTC) at the latest."""

    id = id_field("cal")
    collectivite_id = reference(db_index=True)
    domain = models.CharField(max_length=253)
    mailbox_id = reference()
    by = reference()
    begun_at = models.DateTimeField(default=clock.now)
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, default=None)

    class Meta:
        db_table = "mail_catch_all"
        constraints = (
            models.UniqueConstraint(
                fields=["domain"], condition=models.Q(ended_at=None), name="mail_catch_all_current"
            ),
        )
