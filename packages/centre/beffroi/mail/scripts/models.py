"""Sieve scripts that a person's own mail program left here (ManageSieve). Rows are the truth; one file a mailbox of
the one in force follows (``consumers``)."""

from __future__ import annotations

from django.db import models

from beffroi.core.fields import id_field, reference
from beffroi.lib import clock


class PersonalScript(models.Model):
    """``is_active``: the one that its owner chose, at most one a mailbox. ``suspended_at``: since then it rests, until
    its owner switches it on again."""

    id = id_field("scr")
    mailbox_id = reference()
    collectivite_id = reference()
    person_id = reference(db_index=True)
    name = models.CharField(max_length=128)
    text = models.TextField()
    is_active = models.BooleanField(default=False)
    suspended_at = models.DateTimeField(null=True, default=None)
    created_at = models.DateTimeField(default=clock.now)
    changed_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "mail_script"
        constraints = (
            models.UniqueConstraint(fields=["mailbox_id", "person_id", "name"], name="mail_script_name"),
            models.UniqueConstraint(
                fields=["mailbox_id"], condition=models.Q(is_active=True), name="mail_script_active"
            ),
        )

    @property
    def in_force(self) -> bool:
        return self.is_active and self.suspended_at is None
