"""Processes that follow the journal ``change`` of all collectivités: a ``Teller`` says where, a ``Follower`` works.

Purpose: what has to see each change (the sentry) keeps no request waiting, and has an interpreter of its own: beside
         the server, each of its milliseconds would be one of everybody's.
Process: ``Teller``: drive, one thread. ``Follower``: the process that follows.
Rule:    a word names a collectivité, nothing else; the journal is the queue. A follower looks at all of them when it
         begins, so that what it was not told while it was away is seen.
Fails:   a word that finds no room is said again, and keeps no other follower waiting; a collectivité whose step fails
         is tried again after RETRY_S.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from queue import Empty, SimpleQueue

from beffroi.drive.due import Due
from beffroi.drive.store.commune import Communes
from beffroi.drive.store.keys import KeysErased
from beffroi.lib.errors import BeffroiError
from beffroi.lib.ids import is_id
from beffroi.lib.ready import readable

log = logging.getLogger("beffroi.drive.following")
GATHER_S = 0.02
"""After a word: a thousand commits a second are fifty words."""
PATIENCE_S = 1.0
"""Between two tries where a follower has no room."""
RETRY_S = 60.0


def directory(run: Path) -> Path:
    """Where the sockets of all followers are, given ``Config.run``."""
    return run / "follow"


def of_door(run: Path) -> Path:
    """In the place of ``run`` where the scan tells the door of files: nothing else of what changes concerns it."""
    return run / "scanned"


class Teller:
    """``told`` may be called by any thread, and never blocks."""

    def __init__(self, run: Path) -> None:
        self._directory = directory(run)
        self._changed: SimpleQueue[str | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="drive-teller", daemon=True)
        self.told: Callable[[str], object] = self._changed.put

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """What was told is said before."""
        self._changed.put(None)
        if self._thread.ident is not None:
            self._thread.join(10)

    def _run(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            unsaid: dict[Path, set[str]] = {}
            is_over = False
            while not is_over:
                changed = self._changes(PATIENCE_S if unsaid else None)
                is_over = None in changed
                words = {one for one in changed if one is not None}
                # What found no room is said to that one alone, and keeps no other waiting.
                due = {path: words | unsaid.get(path, set()) for path in self._followers()}
                unsaid = {path: left for path, some in due.items() if (left := _unsaid(sender, path, some))}
                time.sleep(0 if is_over else GATHER_S)

    def _changes(self, timeout_s: float | None) -> set[str | None]:
        """What was told since; empty where nothing was for so long."""
        changed: set[str | None] = set()
        with contextlib.suppress(Empty):
            changed.add(self._changed.get(timeout=timeout_s))
            while True:
                changed.add(self._changed.get_nowait())
        return changed

    def _followers(self) -> list[Path]:
        with contextlib.suppress(FileNotFoundError):
            return [one for one in self._directory.iterdir() if one.suffix == ".sock"]
        return []  # none has begun


def _unsaid(sender: socket.socket, path: Path, changed: Iterable[str]) -> set[str]:
    """Tell one follower; return what found no room."""
    left = set(changed)
    for collectivite_id in sorted(left):
        try:
            sender.sendto(collectivite_id.encode(), str(path))
        except BlockingIOError:
            return left
        except OSError:  # it died: it looks at all of them when it begins
            return set()
        left.discard(collectivite_id)
    return left


class Rested:
    """Where nothing was left to do. A sweep passes over what was not written since: it is there for lost words, and
    opening every collectivité costs. One thread."""

    def __init__(self, communes: Communes) -> None:
        self._communes = communes
        self._states: dict[str, tuple[int, ...]] = {}

    def keep(self, collectivite_id: str, state: tuple[int, ...] | None) -> None:
        """``state``: of ``Communes.state``, from before the look."""
        if state:
            self._states[collectivite_id] = state

    def others(self) -> list[str]:
        """Those that are to be looked at."""
        return [one for one in self._communes.ids() if self._is_due(one)]

    def _is_due(self, collectivite_id: str) -> bool:
        kept = self._states.get(collectivite_id)
        if kept is None or kept == self._communes.state(collectivite_id):
            return kept is None
        del self._states[collectivite_id]
        return True


class Follower:
    """``name``: of its socket. ``step``: works on a collectivité for a short while; returns after how many seconds it
    wants to be called again without a change, None for not at all."""

    def __init__(self, run: Path, name: str, step: Callable[[str], float | None]) -> None:
        self._step = step
        self._due = Due()
        self._stopping = threading.Event()
        path = directory(run) / f"{name}.sock"
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)

    def run(self, collectivite_ids: Iterable[str]) -> None:
        """Work until ``stop``, those first. Each in its turn: a busy one does not keep the others waiting."""
        for one in collectivite_ids:
            self._due.now(one)
        with self._socket:
            while not self._stopping.is_set():
                self._hear(self._due.wait_s())
                collectivite_id = self._due.first()
                again_s = self._stepped(collectivite_id) if collectivite_id else None
                if collectivite_id and again_s is not None:
                    self._due.after(collectivite_id, again_s)
        self._path.unlink(missing_ok=True)

    def stop(self) -> None:
        """From a signal or another thread."""
        self._stopping.set()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender, contextlib.suppress(OSError):
            sender.setblocking(False)
            sender.sendto(b"", str(self._path))

    def _hear(self, timeout_s: float | None) -> None:
        readable(self._socket, timeout_s)
        with contextlib.suppress(BlockingIOError):
            while True:
                text = self._socket.recv(64).decode("ascii", "replace")
                if is_id(text, "col"):
                    self._due.now(text)

    def _stepped(self, collectivite_id: str) -> float | None:
        try:
            return self._step(collectivite_id)
        except KeysErased:
            return None  # for good
        except BeffroiError as error:
            log.error("%s waits: %s", collectivite_id, error.code)
        except Exception:  # the outermost place: the others are looked at all the same
            log.exception("%s waits", collectivite_id)
        return RETRY_S
