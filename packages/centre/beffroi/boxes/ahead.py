"""After the clock of the centre ran ahead: what was dated by it, and is still to come, counts from now.

Purpose: a box that is away would else be "heard" for as long as the clock was ahead, hold a release that it was asked
         to install, or be followed twice; a stage of a release would wait as long.
Process: worker, each half minute.
"""

from __future__ import annotations

from django.db.models import Model

from beffroi.boxes.models import Box, BoxRelease, BoxRun, BoxUpdate
from beffroi.core.events.registry import periodic
from beffroi.lib import clock

_DATED: tuple[tuple[type[Model], str], ...] = (
    (Box, "last_seen_at"),
    (BoxRun, "twice_at"),
    (BoxUpdate, "asked_at"),
    (BoxUpdate, "told_at"),
    (BoxRelease, "stage_at"),
    (BoxRelease, "resumed_at"),
)


@periodic("boxes.ahead", every_s=30.0)
def look() -> int:
    """Return how many dates were set right."""
    now, changed = clock.now(), 0
    for model, name in _DATED:
        ahead = model._default_manager.filter(**{f"{name}__gt": now})
        if ahead.exists():  # the usual case is none: no write lock is taken
            changed += ahead.update(**{name: now})
    return changed
