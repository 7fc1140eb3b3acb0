"""What worker does about closed mailboxes: a child is started when an export or an erasure is due, and an erasure that
is asked for ends when its mailbox is opened again."""

from __future__ import annotations

from beffroi.core.events import Event, consumer, periodic
from beffroi.mail.closing import children, erasures

periodic("mail.closing", every_s=2.0)(children.step)


@consumer(name="mail.erasure_reopened", kinds=("mail:mailbox_created",))
def reopened(event: Event) -> None:
    """Also when it is made: then there is nothing to end."""
    erasures.reopened(event.payload["mailbox_id"], at=event.created_at)


@consumer(name="mail.erasure_expired", kinds=("approval:expired",))
def expired(event: Event) -> None:
    """Nobody of the Département answered in time; it may be asked for again."""
    if event.payload["verb"] == erasures.VERB:
        erasures.expired(event.payload["approval_id"])
