"""Takes the steps of long ways back that pages began (``store.going_back``), portion by portion.

Process: drive-keeper, one thread. It hears of a change in a collectivité as the index of words does; at its start it
         looks at all of them, so that a way that a crash cut goes on.
Fails:   a collectivité whose metadata do not answer waits (``rounds``); nothing is lost by that.
"""

from __future__ import annotations

import logging
from functools import partial

from beffroi.drive.rounds import Rounds
from beffroi.drive.store import going_back
from beffroi.drive.store.commune import Communes
from beffroi.lib import clock

log = logging.getLogger("beffroi.drive.past")


class WaysBack(Rounds):
    def __init__(self, communes: Communes) -> None:
        super().__init__("drive-ways-back", communes, log, calm_s=0.0, pause_s=0.05)

    def step(self, collectivite_id: str) -> bool:
        """A portion of each way; True while there are more. Errors: those of the metadata."""
        database, now_s = self._communes.metadata(collectivite_id), clock.epoch_s()
        with database.reading() as reading:
            folders = going_back.unfinished(reading)
        more = [database.write(partial(going_back.go_on, folder=one, now_s=now_s)) for one in folders]
        return any(more)
