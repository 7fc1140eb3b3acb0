"""What identity does when two administrators agreed, in worker; and that a restored database brings nobody back."""

from __future__ import annotations

import logging

from django.conf import settings

from beffroi.core.events.registry import Event, consumer, periodic
from beffroi.core.identity import erasure

log = logging.getLogger("beffroi.identity")


@consumer(name="identity.erasure", kinds=("approval:granted",))
def erase_person(event: Event) -> None:
    if event.payload.get("verb") == erasure.VERB:
        erasure.carry_out(str(event.payload.get("subject_id", "")))


@consumer(name="identity.erased", kinds=("identity:person_erased",), atomic=False)
def remember(event: Event) -> None:
    erasure.remember(settings.BEFFROI, str(event.payload["person_id"]))


@periodic("identity.erased_again", every_s=600.0)
def erase_again() -> None:
    if count := erasure.again(settings.BEFFROI):
        log.warning(
            "%d erased people were in the database again, a restored one: they are erased again", count
        )
