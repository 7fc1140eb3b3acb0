"""Imports of old mailboxes: where from, how far, what could not be copied. Never a subject, a sender or a text.

``mail_import_failure`` names a mail by folder, date and size: enough for its owner to find it in the old mailbox.
"""

from __future__ import annotations

from django.db import models

from beffroi.core.fields import id_field, reference
from beffroi.lib import clock


class ImportJob(models.Model):
    """``asked_by``: whose password it is. ``password``: wrapped by the collectivité's key; "" once the import is over,
    or its asker reads the mailbox no more. ``error``: code of what stopped it, or what it waits for. ``next_run_at``:
    when a runner takes it up (again). ``collect_until``: until then what still arrives at the old address is fetched
    too. ``taken``: mails that undoing took away again; ``stayed``: that it left. ``passed_over``: files of an archive
    that are no mails, ``passed_names`` of some of them, one a line."""

    class State(models.TextChoices):
        LISTING = "listing"  # the folders are being asked for
        READY = "ready"  # for the person's choice of folders
        RUNNING = "running"
        PAUSED = "paused"  # by the person, or by an error that only a person can mend
        COLLECTING = "collecting"  # all is copied; new mail at the old address goes on being fetched
        DONE = "done"
        CANCELLED = "cancelled"
        UNDOING = "undoing"  # what it brought is being taken away again
        UNDONE = "undone"

    class Tls(models.TextChoices):
        IMPLICIT = "implicit"
        STARTTLS = "starttls"
        NONE = "none"  # an archive: nothing is asked over the network

    id = id_field("imp")
    collectivite_id = reference(db_index=True)
    mailbox_id = reference(db_index=True)
    asked_by = reference()
    host = models.CharField(max_length=253)
    port = models.IntegerField(default=993)
    tls = models.CharField(max_length=16, choices=Tls, default=Tls.IMPLICIT)
    username = models.CharField(max_length=254)
    password = models.TextField(default="")
    state = models.CharField(max_length=16, choices=State, default=State.LISTING, db_index=True)
    error = models.CharField(max_length=60, default="")
    attempts = models.IntegerField(default=0)
    next_run_at = models.DateTimeField(default=clock.now)
    collect_until = models.DateTimeField(null=True, default=None)
    day = models.DateField(null=True, default=None)
    day_bytes = models.BigIntegerField(default=0)
    taken = models.IntegerField(default=0)
    stayed = models.IntegerField(default=0)
    passed_over = models.IntegerField(default=0)
    passed_names = models.TextField(default="")
    created_at = models.DateTimeField(default=clock.now)
    done_at = models.DateTimeField(null=True, default=None)

    class Meta:
        db_table = "mail_import_job"


class ImportFolder(models.Model):
    """One folder of the old mailbox. ``uid_done``: every mail up to this UID (of ``uidvalidity``) was dealt with.
    ``present``: were in the new mailbox already. ``made``: its target was not there before. ``role``: what it is for
    ("sent", "trash", "all"...), or ""."""

    job = models.ForeignKey(ImportJob, models.CASCADE, related_name="folders")
    name = models.CharField(max_length=1000)
    role = models.CharField(max_length=16, default="")
    target = models.CharField(max_length=255)
    chosen = models.BooleanField(default=False)
    place = models.IntegerField(default=0)
    total = models.IntegerField(default=0)
    uidvalidity = models.BigIntegerField(default=0)
    uid_done = models.BigIntegerField(default=0)
    copied = models.IntegerField(default=0)
    present = models.IntegerField(default=0)
    failed = models.IntegerField(default=0)
    made = models.BooleanField(default=False)

    class Meta:
        db_table = "mail_import_folder"
        ordering = ("place", "id")


class ImportedMails(models.Model):
    """What one APPEND put into a folder of the new mailbox, for the import's undoing (undoing.py).

    ``uids``: in IMAP's words ("4:9,12"), of ``uidvalidity``; "" while its answer is not known: then they are above
    ``after``, and ``keys`` (letters.key, 16 bytes each) tell them. ``marks``: JSON, by mark of undoing.MARKS those that
    came with it. ``weighed``: ``uids`` are those that go, and nothing is left but to expunge them."""

    folder = models.ForeignKey(ImportFolder, models.CASCADE, related_name="mails")
    uidvalidity = models.BigIntegerField()
    after = models.BigIntegerField()
    keys = models.BinaryField(default=b"")
    uids = models.TextField(default="")
    marks = models.TextField(default="{}")
    weighed = models.BooleanField(default=False)

    class Meta:
        db_table = "mail_import_mails"


class ImportFailure(models.Model):
    """One mail that could not be copied. ``reason``: "too_large", "mailbox_full", "unreadable" or "refused"; or
    "folder_gone" of a whole folder (``uid`` 0) that the old mailbox does not have any more."""

    folder = models.ForeignKey(ImportFolder, models.CASCADE, related_name="failures")
    uidvalidity = models.BigIntegerField(default=0)
    uid = models.BigIntegerField()
    reason = models.CharField(max_length=16)
    size_bytes = models.BigIntegerField(default=0)
    received_at = models.DateTimeField(null=True, default=None)

    class Meta:
        db_table = "mail_import_failure"
        constraints = (
            models.UniqueConstraint(fields=["folder", "uidvalidity", "uid"], name="mail_import_failure_once"),
        )


class ImportSender(models.Model):
    """Somebody who wrote to the old address after the move began. Goes with the import."""

    job = models.ForeignKey(ImportJob, models.CASCADE, related_name="senders")
    address = models.CharField(max_length=254)
    mails = models.IntegerField(default=1)
    last_at = models.DateTimeField()

    class Meta:
        db_table = "mail_import_sender"
        constraints = (models.UniqueConstraint(fields=["job", "address"], name="mail_import_sender_once"),)


class MovedPlace(models.Model):
    """A place where the person has given the new address (``actions.PLACES``)."""

    collectivite_id = reference()
    mailbox_id = reference()
    key = models.CharField(max_length=32)
    done_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "mail_moved_place"
        constraints = (models.UniqueConstraint(fields=["mailbox_id", "key"], name="mail_moved_place_once"),)
