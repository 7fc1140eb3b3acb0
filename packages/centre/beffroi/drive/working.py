"""A thread that works in rounds until its process ends: upkeep, new keys, backups, seals."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable

log = logging.getLogger("beffroi.drive")
PATIENCE_S = 10.0


class Worker(ABC):
    """``_run`` returns soon after ``_stopped`` is set. ``start`` once; ``stop`` also where it never started."""

    def __init__(self, name: str) -> None:
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join(PATIENCE_S)

    def guarded(self, work: Callable[[], object]) -> None:
        """Whatever breaks a round ends no thread: it would say nothing, and nothing more would be done."""
        try:
            work()
        except Exception:
            log.exception("%s: nothing more this time", self._thread.name)

    @abstractmethod
    def _run(self) -> None: ...
