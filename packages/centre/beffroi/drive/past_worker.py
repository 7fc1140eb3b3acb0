"""Takes the steps of long ways back that pages began (``store.going_back``), portion by portion.

Process: drive-keeper, one thread. It hears of a change in a collectivité as the index of words does; at its start it
         looks at all of them, so that a way that a crash cut goes on.
Fails:   a collectivité whose metadata do not answer waits for RETRY_S; nothing is lost by that.
"""

from __future__ import annotations

import logging
from collections.abc import Set
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue

from beffroi.drive.following import Rested
from beffroi.drive.store import going_back
from beffroi.drive.store.commune import Communes
from beffroi.drive.working import Worker
from beffroi.lib import clock
from beffroi.lib.errors import BeffroiError

log = logging.getLogger("beffroi.drive.past")
PAUSE_S, RETRY_S, SWEEP_S = 0.05, 60.0, 600.0
"""Between two portions: others write; after something failed; between two looks at all: words are lost."""


class WaysBack(Worker):
    def __init__(self, communes: Communes) -> None:
        super().__init__("drive-ways-back")
        self._communes = communes
        self._rested = Rested(communes)
        self._heard: SimpleQueue[str] = SimpleQueue()

    def told(self, collectivite_id: str) -> None:
        """Something changed there; from any thread."""
        self._heard.put(collectivite_id)

    def start(self) -> None:
        for collectivite_id in self._communes.ids():
            self.told(collectivite_id)
        super().start()

    def stop(self) -> None:
        self._stopped.set()
        self.told("")
        super().stop()

    def _run(self) -> None:
        late = set[str]()
        while not self._stopped.is_set():
            for collectivite_id in sorted(self._due(late)):
                if self._stopped.wait(PAUSE_S):
                    return
                late.discard(collectivite_id)
                try:
                    state = self._communes.state(collectivite_id)
                    if self.step(collectivite_id):
                        self.told(collectivite_id)
                    else:
                        self._rested.keep(collectivite_id, state)
                except BeffroiError as error:
                    log.error("%s: a way back waits: %s", collectivite_id, error.code)
                    late.add(collectivite_id)
                except Exception:  # the thread's outermost place: one collectivité stops it for no other
                    log.exception("%s: a way back waits", collectivite_id)
                    late.add(collectivite_id)

    def _due(self, late: Set[str]) -> Set[str]:
        """Those that were heard of; when nothing was for long, ``late`` and those that were written since."""
        try:
            due = {self._heard.get(timeout=RETRY_S if late else SWEEP_S)}
        except Empty:
            return {*late, *self._rested.others()}
        with suppress(Empty):
            while True:
                due.add(self._heard.get_nowait())
        return due - {""}

    def step(self, collectivite_id: str) -> bool:
        """A portion of each way; True while there are more. Errors: those of the metadata."""
        database, now_s = self._communes.metadata(collectivite_id), clock.epoch_s()
        with database.reading() as reading:
            folders = going_back.unfinished(reading)
        more = [database.write(partial(going_back.go_on, folder=one, now_s=now_s)) for one in folders]
        return any(more)
