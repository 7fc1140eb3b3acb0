"""Long contents: one that failed has its turn again while others come."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from beffroi.drive.scanning import apart
from beffroi.drive.scanning.apart import Apart
from beffroi.drive.scanning.engines import EngineAway

from tests import waiting

FAILS, BUSY = "col_fails", "col_busy"


class Scanner:
    is_ending = False

    def __init__(self) -> None:
        self.looks = {FAILS: 0, BUSY: 0}

    def look_at_long(self, collectivite_id: str) -> bool:
        self.looks[collectivite_id] += 1
        if collectivite_id == FAILS and self.looks[FAILS] == 1:
            raise EngineAway("scan")
        return False


def test_what_failed_has_its_turn_again_while_others_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "RETRY_S", 0.3)
    scanner: Any = Scanner()
    work, over = Apart(scanner, (FAILS,)), threading.Event()

    def come() -> None:
        while not over.wait(0.02):
            work.wake(BUSY)

    coming = threading.Thread(target=come)
    coming.start()
    work.start()
    try:
        waiting.until(lambda: scanner.looks[FAILS] == 2, "what failed")
    finally:
        over.set()
        coming.join()
        work.stop()
