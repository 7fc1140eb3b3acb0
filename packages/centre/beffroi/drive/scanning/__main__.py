"""``python -m beffroi.drive.scanning``: the process filescan, until SIGTERM.

Process: filescan, unprivileged, low priority; the keys of contents, the metadata, the sockets of the engines.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

from beffroi.drive import following
from beffroi.drive.scanning import scanner, told
from beffroi.drive.scanning.apart import Apart
from beffroi.drive.scanning.engines import EngineAway, Engines
from beffroi.drive.scanning.scanner import REST, Scanner
from beffroi.drive.scanning.told import Told
from beffroi.drive.store.commune import Communes
from beffroi.drive.store.findings import Finding
from beffroi.drive.store.frozen import Held
from beffroi.drive.store.stock import stocks
from beffroi.drive.telling import tell
from beffroi.lib import clock, programs
from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError
from beffroi.lib.ids import is_id
from beffroi.lib.ready import readable

log = logging.getLogger("beffroi.drive.scanning")
NICE = 10
SWEEP_S = 600.0
"""A word may be lost: all collectivités are looked at that were written in since nothing was left there."""
TURN_S = 30.0
RETRY_S = 2.0


class Process:
    """Use: ``listen()``, ``run()``. ``stopped``: True when it is to end."""

    def __init__(
        self, config: Config, communes: Communes, work: Scanner, stopped: Callable[[], bool]
    ) -> None:
        self._config, self._communes, self._work, self._stopped = config, communes, work, stopped
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._due: dict[str, None] = {}
        self._walks: dict[str, None] = {}
        self._rested, self._forgotten = following.Rested(communes), following.Rested(communes)
        self._away: tuple[str, int] = ("", 0)
        self._told = Told()
        self._mark = ""

    def listen(self) -> None:
        """Errors: OSError."""
        path = following.directory(self._config.run) / "filescan.sock"
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        self._socket.bind(str(path))
        self._socket.setblocking(False)

    def run(self) -> None:
        swept_s = forgot_s = float("-inf")
        rest_s = 0.0
        while not self._stopped():
            now_s = clock.steady_s()
            if now_s - swept_s >= SWEEP_S:
                swept_s = now_s
                self._sweep()
            if now_s - forgot_s >= scanner.FORGET_EACH_S:
                forgot_s = now_s
                self._forget()
            self._say()
            self._hear(rest_s)
            rest_s = self._turn()

    def _sweep(self) -> None:
        written = self._rested.others()
        self._due |= dict.fromkeys(written)
        self._work.forget_walks(written)
        ids = self._communes.ids()
        self._walks |= dict.fromkeys(one for one in ids if self._work.may_walk(one, self._mark))

    def _forget(self) -> None:
        for collectivite_id in self._forgotten.others():
            state = self._communes.state(collectivite_id)
            if self._guarded(collectivite_id, partial(self._work.forget, collectivite_id)):
                self._forgotten.keep(collectivite_id, state)

    def _turn(self) -> float:
        """One step of work; how long to rest before the next one of the walk."""
        try:
            if self._away[0]:
                self._work.engines.prove()
            if self._away[0] or not (self._due and self._mark):
                self._mark = self._work.engines.mark()
            self._away = ("", 0)
        except EngineAway as error:
            self._fell_away(error)
            return RETRY_S
        if self._due:
            collectivite_id = next(iter(self._due))
            del self._due[collectivite_id]
            state = self._communes.state(collectivite_id)
            is_more = self._guarded(collectivite_id, lambda: self._work.follow(collectivite_id))
            if is_more:
                self._due[collectivite_id] = None
            elif is_more is False:
                self._rested.keep(collectivite_id, state)
            return 0.0
        if self._walks:
            collectivite_id = next(iter(self._walks))
            took_s = self._guarded(collectivite_id, lambda: self._work.walk(collectivite_id, self._mark))
            if took_s is None:
                self._walks.pop(collectivite_id, None)
                return 0.0
            return took_s * REST
        return TURN_S

    def _guarded[T](self, collectivite_id: str, step: Callable[[], T]) -> T | None:
        """A step for one collectivité. What fails is looked at again by the next sweep; for lack of an engine, soon."""
        try:
            return step()
        except EngineAway as error:
            self._fell_away(error)
            self._due[collectivite_id] = None
        except BeffroiError as error:
            log.error("%s waits: %s", collectivite_id, error.code)
        except Exception:  # the outermost place: one collectivité stops it for no other
            log.exception("%s waits", collectivite_id)
        return None

    def _fell_away(self, error: EngineAway) -> None:
        if not self._away[0]:
            self._away = (error.engine, clock.epoch_s())
            log.error("%s does not answer: files wait", self._away[0])

    def _hear(self, timeout_s: float) -> None:
        """Take in who says that something changed; wait for the first word, if nothing is due."""
        readable(self._socket, timeout_s)
        with suppress(BlockingIOError):
            while True:
                name = self._socket.recv(64).decode("ascii", "replace")
                if is_id(name, "col"):
                    self._due[name] = None

    def _say(self) -> None:
        now = Told(clock.epoch_s(), *self._away, len(self._due))
        if not 0 <= now.at_s - self._told.at_s < TURN_S or now.away != self._told.away:
            try:
                told.write(self._config, now)
            except OSError as error:
                log.error("nothing is told: %s", error.strerror)
            self._told = now


def tell_found(config: Config, collectivite_id: str, one: Finding, held: Held) -> None:
    """``drive:found``: no name of a file or a person. Errors: Unavailable."""
    payload = {
        "sha256": one.sha256,
        "code": one.code,
        "names": one.names.split(),
        "inside": one.inside,
        "files": held.files,
        "versions": held.versions,
        "brought_by": one.brought_by,
    }
    tell(config, "drive:found", collectivite_id, payload)


def run(config: Config, stopped: Callable[[], bool]) -> None:
    """Errors: SettingInvalid, StoreUnavailable, OSError."""
    with ThreadPoolExecutor(1, "commits") as commits:
        communes = Communes(config.state / "drive", commits, config.drive_database)
        try:
            work = Scanner(communes, stocks(config), Engines(config), partial(tell_found, config))
            process = Process(config, communes, work, stopped)
            process.listen()
            apart, teller = Apart(work, communes.ids()), following.Teller(following.of_door(config.run))
            work.wake, work.carries = apart.wake, teller.told
            apart.start()
            teller.start()
            try:
                process.run()
            finally:
                apart.stop()
                teller.stop()
        finally:
            communes.close()


def main() -> int:
    ending = programs.Ending()
    os.nice(NICE)
    return programs.run(lambda config: run(config, lambda: ending.is_asked))


if __name__ == "__main__":
    sys.exit(main())
