"""The process ``previews``: ``python -m beffroi.previews``. Makes a PDF and pictures of documents, and thumbnails.

Purpose: the programs that open strangers' office documents and pictures run here and nowhere else.
Process: a system user of its own (``USER-previews``), no secret, no database; where the supervisor may, it starts it
         in a network namespace of its own. It listens on STATE/previews/previews.sock: drive asks for documents of
         people, web for what we wrote to be printed. It reads nothing of what is sent: that do the programs it starts
         (``making``). LANES children of it serve, one request each: drive has a document and some pictures made at a
         time, web a sheet, and none waits for the others.
Hostile: every document, and each program that has read one.
Fails:   closed: a document that is too much for its program has no preview. This process away: none has.
Content: a document lies in memory (/dev/shm), in a folder of its own, for as long as its programs run.
Source:  docs/decisions/0079-office-documents.md.
"""

from __future__ import annotations

import hashlib
import logging
import os
import select
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

LANES = 2 + wire.PHOTOS_AT_ONCE
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

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT; 1 when a lane ended by itself."""
        ending = programs.Ending()
        self._listener.setblocking(False)  # several lanes wake for one that asks
        alive, held = os.pipe()
        lanes = [self._begin(number, alive, held) for number in range(LANES)]
        try:
            if ending.is_asked:
                return 0
            ended, _ = os.wait()
            lanes.remove(ended)
            return 1
        finally:
            os.close(held)  # a signal may come a moment before a lane begins to wait, and be slept over
            for pid in lanes:
                os.kill(pid, signal.SIGTERM)
            for pid in lanes:
                os.waitpid(pid, 0)
            making.clear(self._work)

    def _begin(self, number: int, alive: int, held: int) -> int:
        """The number of a child that serves for as long as ``held`` is open with us."""
        pid = os.fork()
        if pid == 0:
            try:
                os.close(held)
                self._serve_all(self._work / str(number), alive)
            finally:
                os._exit(0)
        return pid

    def _serve_all(self, folder: Path, alive: int) -> None:
        waking = select.poll()
        for descriptor in (self._listener.fileno(), alive):
            waking.register(descriptor, select.POLLIN)
        while all(descriptor != alive for descriptor, _ in waking.poll()):
            try:
                connection, _ = self._listener.accept()
            except BlockingIOError:
                continue
            with connection:
                try:
                    connection.settimeout(READING_S)
                    self._serve(folder, connection)
                except (OSError, wire.Ended) as error:
                    # So does each look whether we live.
                    log.debug("a request ended: %s", type(error).__name__)

    def _serve(self, folder: Path, connection: socket.socket) -> None:
        asked = wire.asked(wire.read_line(connection))
        data = wire.read_exactly(connection, asked.size_bytes)
        since = time.monotonic()
        folder.mkdir(mode=0o700)
        try:
            answer = wire.answer(making.make(folder, asked.suffix, data, asked.edge_px))
        except wire.NotShown as refused:
            log.info("%s %s: %s", hashlib.sha256(data).hexdigest(), asked.suffix, refused.why)
            answer = b"no %b\n" % refused.why.encode()
        finally:
            making.clear(folder)
        log.debug("%s took %.1f s", asked.suffix, time.monotonic() - since)
        connection.sendall(answer)


def serve(config: Config) -> int:
    """Errors: OSError."""
    server = Server(config)
    server.listen()
    server.seclude()
    log.info("listening")
    return server.run()


def main() -> int:
    return programs.run(serve)
