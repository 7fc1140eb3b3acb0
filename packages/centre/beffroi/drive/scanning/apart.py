"""The thread that has long contents looked at, so that short ones do not wait for it.

Process: filescan. One content at a time: ``scan`` keeps another child for the short ones.
Fails:   as the rest: an engine away, a store that does not answer, and the content waits in ``scan_due``.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from contextlib import suppress
from queue import Empty, SimpleQueue

from beffroi.drive.due import Due
from beffroi.drive.scanning.engines import EngineAway
from beffroi.drive.scanning.scanner import Ending, Scanner
from beffroi.drive.store.keys import KeysErased
from beffroi.lib.errors import BeffroiError

log = logging.getLogger("beffroi.drive.scanning")
RETRY_S = 30.0


class Apart:
    """Use: ``start()``, ``wake(collectivite_id)`` where a content waits, ``stop()``."""

    def __init__(self, work: Scanner, ids: Iterable[str]) -> None:
        """``ids``: what waited before this process was."""
        self._work, self._due = work, Due()
        self._woken: SimpleQueue[str] = SimpleQueue()
        for one in ids:
            self._due.now(one)
        self._thread = threading.Thread(target=self._run, name="long", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self, collectivite_id: str) -> None:
        self._woken.put(collectivite_id)

    def stop(self) -> None:
        """The look that is under way ends at its next piece, and is done again by the next process."""
        self._work.is_ending = True
        self._woken.put("")
        self._thread.join(10)

    def _run(self) -> None:
        while not self._work.is_ending:
            with suppress(Empty):
                self._due.now(self._woken.get(timeout=self._due.wait_s()))
            collectivite_id = self._due.first()
            if collectivite_id and not self._all_of(collectivite_id):
                self._due.after(collectivite_id, RETRY_S)

    def _all_of(self, collectivite_id: str) -> bool:
        """Everything that waits there; whether it was done."""
        try:
            while self._work.look_at_long(collectivite_id):
                pass
        except (Ending, KeysErased):
            pass
        except EngineAway:  # the process says which
            return False
        except BeffroiError as error:
            log.error("%s: a long content waits: %s", collectivite_id, error.code)
            return False
        except Exception:  # the outermost place of this thread
            log.exception("%s: a long content waits", collectivite_id)
            return False
        return True
