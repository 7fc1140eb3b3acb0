"""A thread that works, step by step, where it hears of a change: the index of words, ways back.

Rule:    whoever has more to do is due again at once, the others get their turns between; where something failed, it is
         tried again after RETRY_S. What was said may be lost: each SWEEP_S all that were written since are looked at.
         Neither waits until nothing else is said.
Process: drive-keeper, one thread each.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from contextlib import suppress
from queue import Empty, SimpleQueue

from beffroi.drive.due import Due
from beffroi.drive.following import Rested
from beffroi.drive.store.commune import Communes
from beffroi.drive.store.keys import KeysErased
from beffroi.drive.working import Worker
from beffroi.lib import clock
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
        self._late = Due()
        self._sweep_at = clock.steady_s() + SWEEP_S
        self._rested = Rested(communes)

    @abstractmethod
    def step(self, collectivite_id: str) -> bool:
        """Work on it for a short while; True while there is more. Errors: BeffroiError: it waits; KeysErased: no
        more."""

    def told(self, collectivite_id: str) -> None:
        """Something changed there; from any thread."""
        self._heard.put(collectivite_id)

    def later(self, collectivite_id: str) -> None:
        """It is tried again after RETRY_S."""
        self._late.after(collectivite_id, RETRY_S)

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
                except KeysErased:
                    continue  # for good
                except BeffroiError as error:
                    self._log.warning("%s waits: %s", collectivite_id, error.code)
                    self.later(collectivite_id)
                except Exception:  # noqa: BLE001 - the thread's outermost place: one collectivité stops it for no other
                    self._log.exception("%s waits", collectivite_id)
                    self.later(collectivite_id)

    def _take(self) -> None:
        """What was heard of, and what it is time for; waits where nothing is due."""
        if not self._due:
            wait_s, late_s = max(0.0, self._sweep_at - clock.steady_s()), self._late.wait_s()
            with suppress(Empty):
                self._due.add(self._heard.get(timeout=wait_s if late_s is None else min(wait_s, late_s)))
                self._stopped.wait(self._calm_s)
        now_s = clock.steady_s()
        while (late := self._late.first()) is not None:
            self._due.add(late)
        if now_s >= self._sweep_at:
            self._due |= set(self._rested.others())
            self._sweep_at = now_s + SWEEP_S
        with suppress(Empty):
            while True:
                self._due.add(self._heard.get_nowait())
        self._due.discard("")
