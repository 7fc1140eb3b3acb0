"""A thread that works, step by step, where it hears of a change: the index of words, ways back.

Rule:    whoever has more to do is due again at once, the others get their turns between; where something failed, it is
         tried again after RETRY_S. What was said may be lost: each SWEEP_S all that were written since are looked at.
Process: drive-keeper, one thread each.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from queue import Empty, SimpleQueue

from beffroi.drive.following import Rested
from beffroi.drive.store.commune import Communes
from beffroi.drive.working import Worker
from beffroi.lib.errors import BeffroiError

RETRY_S, SWEEP_S = 60.0, 600.0


class Rounds(Worker):
    """``calm_s``: waited after a change, for others come, mostly: one round serves them all. ``pause_s``: between two
    steps, in which others have the disk."""

    def __init__(
        self, name: str, communes: Communes, log: logging.Logger, *, calm_s: float, pause_s: float
    ) -> None:
        super().__init__(name)
        self._communes, self._log, self._calm_s, self._pause_s = communes, log, calm_s, pause_s
        self._heard: SimpleQueue[str] = SimpleQueue()
        self._due: set[str] = set()
        self._late: set[str] = set()
        self._rested = Rested(communes)

    @abstractmethod
    def step(self, collectivite_id: str) -> bool:
        """Work on it for a short while; True while there is more. Errors: BeffroiError: it waits."""

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
        while not self._stopped.is_set():
            self._take()
            for collectivite_id in sorted(self._due):
                if self._stopped.wait(self._pause_s):
                    return
                self._due.discard(collectivite_id)
                try:
                    state = self._communes.state(collectivite_id)
                    if self.step(collectivite_id):
                        self._due.add(collectivite_id)
                    else:
                        self._rested.keep(collectivite_id, state)
                except BeffroiError as error:
                    self._log.warning("%s waits: %s", collectivite_id, error.code)
                    self._late.add(collectivite_id)
                except Exception:  # noqa: BLE001 - the thread's outermost place: one collectivité stops it for no other
                    self._log.exception("%s waits", collectivite_id)
                    self._late.add(collectivite_id)

    def _take(self) -> None:
        """What was heard of; waits where nothing is due."""
        if not self._due:
            try:
                self._due.add(self._heard.get(timeout=RETRY_S if self._late else SWEEP_S))
            except Empty:
                self._due, self._late = self._late | set(self._rested.others()), set()
                return
            self._stopped.wait(self._calm_s)
        try:
            while True:
                self._due.add(self._heard.get_nowait())
        except Empty:
            self._due.discard("")
