"""The daily purge, in worker: a short slice every few seconds, so that what is seen meanwhile is decided at once."""

from __future__ import annotations

import logging

from django.conf import settings
from django.db import DatabaseError

from beffroi.core.events import periodic
from beffroi.core.retention import actions, queries, told

SLICE_S = 0.2
log = logging.getLogger("beffroi.retention")


@periodic("retention.run", every_s=5.0)
def purge() -> None:
    failed = ""
    try:
        _slice()
    except DatabaseError as error:
        failed = type(error).__name__
        raise
    finally:
        _tell(failed)


def _slice() -> None:
    if not actions.is_due():
        return
    try:
        run = actions.begin()
    except actions.ClockInDoubt:
        return  # logged and recorded there; tried again in a day
    actions.go_on(run, for_s=SLICE_S)


def _tell(failed: str) -> None:
    """For whoever has no database to ask. A disk that is full must not stop the purge, which makes room."""
    try:
        told.write(settings.BEFFROI, queries.how_it_goes(settings.BEFFROI, failed=failed))
    except (OSError, DatabaseError) as error:
        log.error("how the purge goes cannot be told: %s", type(error).__name__)
