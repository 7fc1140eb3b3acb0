"""What worker does about collectivités that leave: their day, and their erasure."""

from __future__ import annotations

from collections.abc import Generator

from beffroi.core.events import Event, consumer, periodic
from beffroi.leaving import applying, erasing, erasures


@periodic("leaving.days", every_s=60.0)
def apply_due() -> Generator[None, None, int]:
    return applying.apply_due()


@periodic("leaving.erasures", every_s=5.0)
def erase_due() -> Generator[None]:
    return erasing.work()


@periodic("leaving.erased_again", every_s=3600.0)
def erase_again() -> Generator[None, None, int]:
    return erasing.again()


@consumer(name="leaving.erasure_expired", kinds=("approval:expired",))
def expired(event: Event) -> None:
    """Nobody of the Département answered in time; it may be asked for again."""
    if event.payload["verb"] == erasures.VERB:
        erasures.expired(event.payload["approval_id"])
