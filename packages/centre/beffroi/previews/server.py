"""The process ``previews``: ``python -m beffroi.previews``. Makes a PDF and pictures of documents, one at a time.

Purpose: the programs that open strangers' office documents run here and nowhere else.
Process: a system user of its own (``USER-previews``), no secret, no database; where the supervisor may, it starts it
         in a network namespace of its own. It listens on STATE/previews/previews.sock: drive asks for documents of
         people, web for what we wrote to be printed. It reads nothing of what is sent: that do the programs it starts
         (``making``).
Hostile: every document, and each program that has read one.
Fails:   closed: a document that is too much for its program has no preview. This process away: none has.
Content: a document lies in memory (/dev/shm), in a folder of its own, for as long as its programs run.
Source:  docs/decisions/0079-office-documents.md.
"""

from __future__ import annotations

import hashlib
import logging
import os
import signal
import socket
import sys
import time
from pathlib import Path

import beffroi_protocol

import beffroi
from beffroi.lib import programs, seclusion
from beffroi.lib.config import Config
from beffroi.previews import making, wire

READING_S = 30.0
BACKLOG = 16
log = logging.getLogger("beffroi.previews")


def folder(state: Path) -> Path:
    return state / "previews"


def socket_path(state: Path) -> Path:
    return folder(state) / "previews.sock"


def work_path(state: Path) -> Path:
    """Where documents lie while their programs run; of its user alone. It stays, empty, when the process ends."""
    mark = hashlib.sha256(str(state.absolute()).encode()).hexdigest()[:12]
    return Path("/dev/shm") / f"beffroi-previews-{os.getuid()}-{mark}"  # noqa: S108 - made anew, or we end


class Server:
    """Use: ``listen()``, ``seclude()``, ``run()``."""

    def __init__(self, config: Config) -> None:
        self._state = config.state
        self._work = work_path(config.state)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)

    def listen(self) -> None:
        """Errors: OSError (also where somebody else's folder stands at our place)."""
        making.clear(self._work)
        self._work.mkdir(mode=0o700)
        path = socket_path(self._state)
        path.unlink(missing_ok=True)
        self._listener.bind(str(path))
        path.chmod(0o660)  # the group of its directory: the drive's
        self._listener.listen(BACKLOG)

    def seclude(self) -> None:
        """Give up what is not needed from here on. Errors: OSError."""
        seclusion.closed_memory()
        packages = [Path(module.__path__[0]).parent for module in (beffroi, beffroi_protocol)]
        code = [*making.READABLE, Path(sys.prefix), *packages]
        if not seclusion.only_these_files(
            code,
            writable=(self._work, Path("/dev/null")),
            runnable=making.RUNNABLE,
            sockets=making.SOCKETS,
        ):
            log.warning("this kernel has no Landlock: file modes alone keep files from programs of previews")

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, programs.end)
        try:
            while True:
                connection, _ = self._listener.accept()
                with connection:
                    try:
                        connection.settimeout(READING_S)
                        self._serve(connection)
                    except (OSError, wire.Ended) as error:
                        # So does each look whether we live.
                        log.debug("a request ended: %s", type(error).__name__)
        finally:
            making.clear(self._work)

    def _serve(self, connection: socket.socket) -> None:
        suffix, size = wire.asked(wire.read_line(connection))
        data = wire.read_exactly(connection, size)
        one, since = self._work / "one", time.monotonic()
        one.mkdir(mode=0o700)
        try:
            answer = wire.answer(making.make(one, suffix, data))
        except wire.NotShown as refused:
            log.info("%s %s: %s", hashlib.sha256(data).hexdigest(), suffix, refused.why)
            answer = b"no %b\n" % refused.why.encode()
        finally:
            making.clear(one)
        log.debug("%s took %.1f s", suffix, time.monotonic() - since)
        connection.sendall(answer)


def serve(config: Config) -> None:
    """Errors: OSError."""
    server = Server(config)
    server.listen()
    server.seclude()
    log.info("listening")
    server.run()


def main() -> int:
    return programs.run(serve)
