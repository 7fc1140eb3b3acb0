"""Takes the steps of long ways back that pages began (``store.going_back``), portion by portion.

Rule:    before each portion it is asked whether the folder still is where it was, and whether who wanted the way may
         still write in it: who left the collectivité, or has a role now that only reads, changes nothing any more.
         What was done stays; the audit log hears of the end before it is one.
Process: drive-keeper, one thread. It hears of a change in a collectivité as the index of words does; at its start it
         looks at all of them, so that a way that a crash cut goes on.
Fails:   a collectivité whose metadata do not answer waits (``rounds``), and so do all while the centre's database does
         not; nothing is lost by that.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from beffroi.drive import past
from beffroi.drive.rounds import Rounds
from beffroi.drive.store import going_back, moments
from beffroi.drive.store.commune import Communes
from beffroi.drive.store.database import Database
from beffroi.drive.store.going_back import Going
from beffroi.drive.store.model import AbsentNode, ReadOnly
from beffroi.drive.telling import Tell
from beffroi.drive.views import View
from beffroi.drive.who import Standing, Who
from beffroi.lib import clock
from beffroi.lib.errors import BeffroiError

STOPPED = "drive:way_stopped"
log = logging.getLogger("beffroi.drive.past")


class WaysBack(Rounds):
    def __init__(self, communes: Communes, standing: Standing, tell: Tell) -> None:
        super().__init__("drive-ways-back", communes, log, calm_s=0.0, pause_s=0.05)
        self._standing, self._tell = standing, tell

    def step(self, collectivite_id: str) -> bool:
        """A portion of each way; True while there are more. Errors: those of the metadata, Unavailable."""
        database = self._communes.metadata(collectivite_id)
        with database.reading() as reading:
            found = going_back.unfinished(reading)
        more = [self._go_on(database, collectivite_id, one) for one in found]
        return any(more)

    def _go_on(self, database: Database, collectivite_id: str, one: Going) -> bool:
        now_s = clock.epoch_s()
        why = self._against(database, self._standing(one.person_id, collectivite_id), one)
        if not why:
            return database.write(partial(going_back.go_on, folder=one.folder, now_s=now_s))
        told = {"folder": one.folder, "person_id": one.person_id, "done": one.done, "total": one.total}
        self._tell(STOPPED, collectivite_id, told)
        database.write(partial(going_back.stop, folder=one.folder, why=why, now_s=now_s))
        return False

    def _against(self, database: Database, found: Sequence[Who], one: Going) -> str:
        """A code, "" where nothing is against it. Who wanted it may write in any of their roles."""
        rights = []
        with database.reading() as reading:
            try:
                moments.seen(reading, one.folder, one.at_s, clock.epoch_s())
            except BeffroiError as error:
                return error.code
            for who in found:
                with suppress(AbsentNode):
                    rights.append(past.folder(View(database, who), reading, one.folder).rights.may_write)
        return "" if any(rights) else ReadOnly.code
