"""Read imports on someone's behalf: those into a mailbox of one's own, and nobody else's."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import QuerySet

from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import existing
from beffroi.mail import queries as mail
from beffroi.mail.importing.models import ImportedMails, ImportFailure, ImportJob, ImportSender, MovedPlace
from beffroi.mail.models import Mailbox

OPEN = (
    ImportJob.State.LISTING,
    ImportJob.State.READY,
    ImportJob.State.RUNNING,
    ImportJob.State.PAUSED,
    ImportJob.State.COLLECTING,
)
OVER = (ImportJob.State.DONE, ImportJob.State.CANCELLED)
"""What it brought can be taken away again (undoing.py)."""
MAX_FAILURES = 500


@dataclass(frozen=True)
class Progress:
    """Mails of the chosen folders. ``total``: of which the old mailbox said to hold so many."""

    total: int
    copied: int
    present: int
    failed: int

    @property
    def dealt_with(self) -> int:
        return self.copied + self.present + self.failed

    @property
    def percent(self) -> int:
        return min(100, self.dealt_with * 100 // self.total) if self.total else 100


def imports(actor: Actor, mailbox: Mailbox) -> QuerySet[ImportJob]:
    """Newest first. Errors: NotFound (not a mailbox of the actor's own)."""
    own = mail.access_mailbox(actor, mailbox.id)
    return ImportJob.objects.filter(mailbox_id=own.id).order_by("-created_at")


def access_import(actor: Actor, mailbox: Mailbox, job_id: str) -> ImportJob:
    """Errors: NotFound, for absent and forbidden alike."""
    return existing(imports(actor, mailbox).filter(pk=job_id).first(), "import")


def progress(job: ImportJob) -> Progress:
    rows = list(job.folders.filter(chosen=True))
    return Progress(
        sum(max(one.total, one.copied + one.present + one.failed) for one in rows),
        sum(one.copied for one in rows),
        sum(one.present for one in rows),
        sum(one.failed for one in rows),
    )


def may_undo(job: ImportJob) -> bool:
    """Whether there is something on the list of what it brought."""
    return job.state in OVER and ImportedMails.objects.filter(folder__job=job).exists()


def failures(job: ImportJob) -> QuerySet[ImportFailure]:
    """The first ``MAX_FAILURES``, by folder and date."""
    rows = ImportFailure.objects.filter(folder__job=job).select_related("folder")
    return rows.order_by("folder__place", "received_at", "id")[:MAX_FAILURES]


def senders(actor: Actor, mailbox: Mailbox) -> QuerySet[ImportSender]:
    """Who still writes to the old addresses of a mailbox of the actor's own, the most frequent first."""
    return ImportSender.objects.filter(job__in=imports(actor, mailbox).values("pk")).order_by(
        "-mails", "-last_at"
    )


def moved_places(actor: Actor, mailbox: Mailbox) -> set[str]:
    """Where the new address was given already. Errors: NotFound."""
    own = mail.access_mailbox(actor, mailbox.id)
    return set(MovedPlace.objects.filter(mailbox_id=own.id).values_list("key", flat=True))
