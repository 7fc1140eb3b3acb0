"""What becomes of a closed mailbox: its exports for the archives, and its erasure by the word of two persons."""

from __future__ import annotations

from django.db import models

from beffroi.core.fields import id_field, reference
from beffroi.lib import clock


class Export(models.Model):
    """One export of a closed mailbox: a ZIP with a BagIt bag, encrypted on the disk (``vault``) until ``ends_at``.

    ``key``: opens the file, wrapped by the collectivité's key; "" before there is a file and after its end. ``done`` of
    ``total`` mails so far; ``left_out``: personal, not in it. ``size_bytes`` and ``sha256``: of the ZIP;
    ``manifest_sha256``: of the manifest in it. ``error``: a word of ``exporting``. Times: UTC.
    """

    class State(models.TextChoices):
        WAITING = "waiting"
        RUNNING = "running"
        READY = "ready"
        ENDED = "ended"  # its time is over, or somebody ended it: the file is gone
        FAILED = "failed"

    id = id_field("exp")
    mailbox_id = reference(db_index=True)
    collectivite_id = reference(db_index=True)
    state = models.CharField(max_length=16, choices=State, default=State.WAITING)
    asked_by = models.CharField(max_length=64)
    done = models.IntegerField(default=0)
    total = models.IntegerField(default=0)
    left_out = models.IntegerField(default=0)
    key = models.TextField(default="", blank=True)
    size_bytes = models.BigIntegerField(default=0)
    sha256 = models.CharField(max_length=64, default="", blank=True)
    manifest_sha256 = models.CharField(max_length=64, default="", blank=True)
    downloads = models.IntegerField(default=0)
    error = models.CharField(max_length=16, default="", blank=True)
    attempts = models.IntegerField(default=0)
    next_run_at = models.DateTimeField(default=clock.now)
    created_at = models.DateTimeField(default=clock.now)
    ready_at = models.DateTimeField(null=True, default=None)
    ends_at = models.DateTimeField(null=True, default=None)
    changed_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "mail_export"
        constraints = (
            models.UniqueConstraint(
                fields=["mailbox_id"],
                condition=models.Q(state__in=("waiting", "running")),
                name="mail_export_one_at_once",
            ),
        )


class Erasure(models.Model):
    """A référent asks that a closed mailbox is erased, the Département grants it with the archives' visa.

    ``visa``: reference of the document by which the Archives départementales agree. ``due_at``: until then a granted
    one can be called back. ``mails``, ``private``, ``size_bytes``: what the folders held; ``hidden``: mails in
    quarantine and among what was deleted; ``inventory_sha256``: over a line "GUID size" for each mail of the folders,
    sorted. They are counted before the key is destroyed (``begun_at``). Times: UTC. A row that is done is the proof of
    an elimination, and kept.
    """

    class State(models.TextChoices):
        ASKED = "asked"
        GRANTED = "granted"
        ERASING = "erasing"  # the key is destroyed; files go
        DONE = "done"
        REFUSED = "refused"
        WITHDRAWN = "withdrawn"

    id = id_field("era")
    mailbox_id = reference(db_index=True)
    collectivite_id = reference(db_index=True)
    approval_id = reference()
    state = models.CharField(max_length=16, choices=State, default=State.ASKED)
    asked_by = models.CharField(max_length=64)
    decided_by = models.CharField(max_length=64, default="", blank=True)
    visa = models.CharField(max_length=120, default="", blank=True)
    reason = models.CharField(max_length=300, default="", blank=True)
    waits_for = models.CharField(max_length=16, default="", blank=True)
    mails = models.IntegerField(default=0)
    private = models.IntegerField(default=0)
    hidden = models.IntegerField(default=0)
    size_bytes = models.BigIntegerField(default=0)
    inventory_sha256 = models.CharField(max_length=64, default="", blank=True)
    created_at = models.DateTimeField(default=clock.now)
    granted_at = models.DateTimeField(null=True, default=None)
    due_at = models.DateTimeField(null=True, default=None)
    begun_at = models.DateTimeField(null=True, default=None)
    done_at = models.DateTimeField(null=True, default=None)
    next_run_at = models.DateTimeField(default=clock.now)
    changed_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "mail_erasure"
        constraints = (
            models.UniqueConstraint(
                fields=["mailbox_id"],
                condition=models.Q(state__in=("asked", "granted", "erasing", "done")),
                name="mail_erasure_once",
            ),
        )
