"""What a question that ended for its time did not come to is read after it, so that the next one has an answer.

Why:     Radicale keeps what it read of an entry in a cache; where that is lost, as after a restore, each question of a
         large collection would end anew, and programs ask again each half hour.
Process: calendars, one thread while something waits; it rests as long as it works, and holds the lock for readers for
         some entries at a time, so that who writes waits for no more than these.
Hostile: entries. One that cannot be read is left out, as Radicale does.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from itertools import batched

from radicale.storage import BaseStorage

from beffroi.drive.calendars.counted import Collection
from beffroi.lib import clock

AT_ONCE = 20
log = logging.getLogger("beffroi.calendars")


class Warmer:
    """``want`` from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._due: dict[str, BaseStorage] = {}
        self._is_running = False

    def want(self, storage: BaseStorage, path: str) -> None:
        """``path``: of a collection, as Radicale has it."""
        with self._lock:
            self._due[path] = storage
            if self._is_running:
                return
            self._is_running = True
        threading.Thread(target=self._run, name="calendars-warmer", daemon=True).start()

    def _run(self) -> None:
        while True:
            with self._lock:
                path = next(iter(self._due), None)
                if path is None:
                    self._is_running = False
                    return
                storage = self._due[path]
            try:
                for took_s in _read(storage, path):
                    time.sleep(took_s)
            except Exception as error:  # noqa: BLE001 - the outermost place: the next collection is read all the same
                log.error("a collection cannot be read ahead: %s", type(error).__name__)
            with self._lock:
                del self._due[path]


def _read(storage: BaseStorage, path: str) -> Iterator[float]:
    """Each step's time."""
    with storage.acquire_lock("r"):
        found = next(iter(storage.discover(path)), None)
        names = list(found._list()) if isinstance(found, Collection) else []
    for some in batched(names, AT_ONCE, strict=False):
        began_s = clock.steady_s()
        with storage.acquire_lock("r"):
            collection = next(iter(storage.discover(path)), None)
            if not isinstance(collection, Collection):
                return
            for _ in collection.get_multi(some):
                pass
        yield clock.steady_s() - began_s
