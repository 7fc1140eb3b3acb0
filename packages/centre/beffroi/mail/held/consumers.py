"""Held mail in the process remediation: it follows deliveries, withdrawals and its owners."""

from __future__ import annotations

from beffroi.core.events import Event, consumer, periodic
from beffroi.mail.held import actions, following, lessons

GROUP = "remediation"


@consumer(name="mail.held", kinds=("mail:delivered",), group=GROUP, atomic=False)
def hold_delivered(event: Event) -> None:
    following.delivered(event.payload["copies"])


@consumer(name="mail.held_jobs", kinds=("remediation:done",), group=GROUP, atomic=False)
def hold_withdrawn(event: Event) -> None:
    following.follow_job(event.payload["job_id"])


@consumer(name="mail.held_placed", kinds=actions.PLACED, group=GROUP, atomic=False)
def place(event: Event) -> None:
    following.place(event.payload["held_id"])


@periodic("mail.held_look", every_s=60.0, group=GROUP)
def look() -> None:
    following.look()


@periodic("mail.lessons", every_s=60.0, group=GROUP)
def teach() -> None:
    lessons.teach()
