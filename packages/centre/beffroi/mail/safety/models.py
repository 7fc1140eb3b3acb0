"""What a collectivité lets pass of attached files, and which bank details of its correspondents were seen and checked.

``mail_bank_detail`` and ``mail_bank_mention`` are written by mailgate in plain SQL: their columns are a contract with
mail/gate/store.py. They hold keyed hashes: no IBAN, no name of a sender.
"""

from __future__ import annotations

from django.db import models

from beffroi.core.fields import reference
from beffroi.lib import clock


class AttachmentPolicy(models.Model):
    """``allowed``: codes of ``gate.attachments.LOOSENED`` with spaces between; no row: nothing is let pass."""

    collectivite_id = reference(primary_key=True)
    allowed = models.CharField(max_length=200, default="", blank=True)
    changed_at = models.DateTimeField(default=clock.now)
    changed_by = reference()

    class Meta:
        db_table = "mail_attachment_policy"


class BankDetail(models.Model):
    """A pair of sender and IBAN in one collectivité (kind ``iban``), or one mail that announces a change (``words``).

    ``proved``: the first mail that named it proved its domain. ``confirmed_by``: the person who called back.
    """

    pair = models.CharField(primary_key=True, max_length=64)
    collectivite_id = reference()
    sender = models.CharField(max_length=64)
    kind = models.CharField(max_length=8)
    proved = models.BooleanField()
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField(db_index=True)
    confirmed_at = models.DateTimeField(null=True, default=None)
    confirmed_by = reference(default="", blank=True)

    class Meta:
        db_table = "mail_bank_detail"
        indexes = (models.Index(fields=["collectivite_id", "sender"], name="mail_bank_of_sender"),)


class BankMention(models.Model):
    """A mail that names a pair. ``announces``: its words tell of new bank details."""

    message_id = reference()
    collectivite_id = reference()
    pair = models.CharField(max_length=64, db_index=True)
    announces = models.BooleanField()
    seen_at = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "mail_bank_mention"
        constraints = (models.UniqueConstraint(fields=["message_id", "pair"], name="mail_bank_mention_once"),)
