"""What identity does when two administrators agreed, in worker."""

from __future__ import annotations

from beffroi.core.events.registry import Event, consumer
from beffroi.core.identity import erasure


@consumer(name="identity.erasure", kinds=("approval:granted",))
def erase_person(event: Event) -> None:
    if event.payload.get("verb") == erasure.VERB:
        erasure.carry_out(str(event.payload.get("subject_id", "")))
