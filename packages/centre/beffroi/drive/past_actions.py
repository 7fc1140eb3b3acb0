"""Putting a folder back as it was: what a person asks for on its page.

Rule:    the audit has its entry before anything is done, with identifiers and counts, no name, and another one where
         it does not begin (``audited``). What is not done within PATIENCE_S is drive-keeper's (``past_worker``): a
         request waits for no long way.
Process: web.
"""

from __future__ import annotations

import time
from functools import partial

from beffroi.core.identity.actor import Actor
from beffroi.drive import audited, past
from beffroi.drive.store import going_back, ways
from beffroi.drive.store.going_back import WayUnderWay
from beffroi.drive.store.model import Act
from beffroi.drive.store.moments import Moment
from beffroi.drive.store.ways import Plan
from beffroi.drive.store.writing import Reading
from beffroi.drive.views import View
from beffroi.lib import clock

PATIENCE_S = 2.0


def plan(view: View, reading: Reading, folder_id: int, moment: Moment) -> Plan:
    """What would happen. ``moment``: of ``past.moment``. Errors: ReadOnly, Sealed, WayTooLong."""
    view.at(reading, folder_id).require_writable()
    return ways.plan(reading, folder_id, moment)


def put_back(*, actor: Actor, view: View, folder_id: int, at_s: int) -> bool:
    """Begin, and do what can be done at once; False where nothing is to be done. Errors: those of
    ``past.moment`` and ``plan``, WayUnderWay."""
    with view.database.reading() as reading:
        way = plan(view, reading, folder_id, past.moment(view, reading, folder_id, at_s))
        before = going_back.find(reading, folder_id)
    if before is not None and before.state == "going":
        raise WayUnderWay
    if not way.steps:
        return False
    now_s, until = clock.epoch_s(), time.monotonic() + PATIENCE_S
    with audited.before(
        actor,
        "drive:folder:put_back",
        str(folder_id),
        collectivite_id=view.collectivite_id,
        details=_told(way),
    ):
        going_back.begin(view.database, Act(actor.id, "", now_s), way)
    step = partial(going_back.go_on, folder=folder_id, now_s=now_s)
    while view.database.write(step) and time.monotonic() < until:
        pass
    return True


def _told(way: Plan) -> dict[str, int]:
    return {
        "at_s": way.at_s,
        "removed": way.removed,
        "returned": way.returned,
        "copied": way.copied,
        "moved": way.moved,
        "rewritten": way.rewritten,
        "stayed": way.stayed,
        "lost": way.lost,
    }
