"""Held mail in the process remediation: it follows deliveries, withdrawals and its owners."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from beffroi.core.events import Event, consumer, periodic
from beffroi.core.events.outbox import publish
from beffroi.mail import sweep
from beffroi.mail.held import actions, following, lessons

GROUP = "remediation"
MORE = "mail:held_more"
"""A long withdrawal is listed in portions: what comes behind an item (``after``) of a job."""


@consumer(name="mail.held", kinds=("mail:delivered",), group=GROUP, atomic=False)
def hold_delivered(event: Event) -> None:
    following.delivered(event.payload["copies"])


@consumer(name="mail.held_jobs", kinds=("remediation:done", MORE), group=GROUP, atomic=False)
def hold_withdrawn(event: Event) -> None:
    job_id: str = event.payload["job_id"]
    last = following.follow_job(job_id, event.payload.get("after", 0))
    if last is not None:
        with transaction.atomic():
            publish(MORE, {"job_id": job_id, "after": last})


@consumer(name="mail.held_placed", kinds=actions.PLACED, group=GROUP, atomic=False)
def place(event: Event) -> None:
    following.place(event.payload["held_id"])


@consumer(name="mail.held_restored", kinds=(sweep.SEARCHED_ANEW,), group=GROUP, atomic=False)
def list_restored(event: Event) -> None:
    restored_at = datetime.fromisoformat(event.payload["restored_at"])
    following.list_quarantine(event.payload["mailbox_id"], restored_at)


periodic("mail.held_look", every_s=60.0, group=GROUP)(following.look)
periodic("mail.lessons", every_s=60.0, group=GROUP)(lessons.teach)
