"""How much room a mailbox and a collectivité have, and how much is taken; imported by mail/models.py."""

from __future__ import annotations

from django.db import models

from beffroi.core.fields import reference


class MailboxRoom(models.Model):
    """``limit_mib``: None is the setting. ``used_bytes``: as Dovecot counted at ``counted_at``. ``purged_at``: when
    what was deleted long ago was last taken away for good."""

    mailbox_id = reference(primary_key=True)
    collectivite_id = reference(db_index=True)
    limit_mib = models.IntegerField(null=True, default=None)
    used_bytes = models.BigIntegerField(default=0)
    counted_at = models.DateTimeField(null=True, default=None, db_index=True)
    purged_at = models.DateTimeField(null=True, default=None, db_index=True)

    class Meta:
        db_table = "mail_mailbox_room"


class CollectiviteRoom(models.Model):
    """A limit that the Département chose; without a row, the setting counts."""

    collectivite_id = reference(primary_key=True)
    limit_mib = models.IntegerField()

    class Meta:
        db_table = "mail_collectivite_room"
