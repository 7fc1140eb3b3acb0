"""A thread that works where it hears of a change: what failed, and words that were lost, wait for no quiet moment."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest
from beffroi.drive import rounds
from beffroi.drive.rounds import Rounds
from beffroi.drive.store.keys import KeysErased
from beffroi.lib.errors import Unavailable

from tests import waiting

FAILS, LOST, BUSY, ERASED = "col_fails", "col_lost", "col_busy", "col_erased"


class Communes:
    """``LOST`` was written in, and nobody said so."""

    written = 0

    def ids(self) -> list[str]:
        return [LOST]

    def state(self, collectivite_id: str) -> tuple[int, ...]:
        return (self.written,)


class Counting(Rounds):
    def __init__(self, communes: Any) -> None:
        super().__init__("counting", communes, logging.getLogger("test"), calm_s=0.0, pause_s=0.0)
        self.steps = dict.fromkeys((FAILS, LOST, BUSY, ERASED), 0)

    def step(self, collectivite_id: str) -> bool:
        self.steps[collectivite_id] += 1
        if collectivite_id == FAILS and self.steps[FAILS] == 1:
            raise Unavailable("The store")
        if collectivite_id == ERASED:
            raise KeysErased(ERASED)
        return False


def test_what_failed_and_what_was_not_said_have_their_turn_while_others_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rounds, "RETRY_S", 0.3)
    monkeypatch.setattr(rounds, "SWEEP_S", 0.3)
    communes = Communes()
    work, over = Counting(communes), threading.Event()

    def write() -> None:
        while not over.wait(0.02):
            work.told(BUSY)

    writer = threading.Thread(target=write)
    writer.start()
    work.told(ERASED)
    work.told(FAILS)
    work.start()
    try:
        waiting.until(lambda: work.steps[LOST] == 1, "the first look")
        communes.written = 1
        waiting.until(lambda: work.steps[FAILS] == 2, "what failed")
        waiting.until(lambda: work.steps[LOST] == 2, "what was not said")
        assert work.steps[ERASED] == 1, "what is erased is tried no more"
    finally:
        over.set()
        writer.join()
        work.stop()
