"""The daily purge, in worker: a short slice every few seconds, so that what is seen meanwhile is decided at once."""

from __future__ import annotations

from beffroi.core.events import periodic
from beffroi.core.retention import actions

SLICE_S = 0.2


@periodic("retention.run", every_s=5.0)
def purge() -> None:
    if not actions.is_due():
        return
    try:
        run = actions.begin()
    except actions.ClockInDoubt:
        return  # logged and recorded there; tried again in a day
    actions.go_on(run, for_s=SLICE_S)
