"""The process ``scan``: ``python -m beffroi.scan``. Answers clamd's protocol on two sockets: STATE/scan/scan.sock for
mail (rspamd's group), STATE/scan-files/scan.sock for files (the group of the Python processes).

Purpose: hostile files are opened here and nowhere else: archives, documents, PDFs; YARA rules meet what is in them.
Process: a system user of its own (``USER-scan``), no secret, no database, no network: after it listens, seccomp forbids
         it sockets and programs, Landlock every file but our code and the rules; where the supervisor may, it starts it
         in a network namespace of its own, which has nothing in it. One child a connection (worker.py), four at once,
         of files two, which give way to mail; the parent reads nothing of what is sent and checks what a child says.
Hostile: every file, and each child that has looked at one.
Fails:   closed: a child that dies, hangs or talks nonsense makes the file UNREADABLE, which holds the mail, beside
         what the rules had said before it opened anything. This process away: rspamd tells senders to come again.
Source:  docs/decisions/0046-scanner-process.md.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import socket
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import beffroi_protocol

import beffroi
from beffroi.lib import programs, seclusion
from beffroi.lib.config import Config
from beffroi.scan import codes, kinds, looking, values, wire, worker
from beffroi.scan.rules import Folder, Rules, directory
from beffroi.scan.values import Report

AT_ONCE, FILES_AT_ONCE = 4, 2
FILES_NICE = 10
BACKLOG = 256
LOOKING_S, FILES_LOOKING_S, LONG_EACH_BYTES = 10.0, 30.0, 2 * 1024 * 1024
"""Of a mail somebody waits for the end; files give way on a busy machine. A second more for each piece of a long
content: who hands it on reads it from the store meanwhile."""
RULES_EVERY_S = 5.0
_COMMANDS = {head[0]: asked for asked, head in worker.HEADS.items()}
log = logging.getLogger("beffroi.scan")


@dataclass
class _Child:
    pid: int
    connection: socket.socket
    until: float
    is_file: bool
    said: bytearray = field(default_factory=bytearray)

    @property
    def has_read(self) -> bool:
        return bool(self.said) and self.said[0] in _COMMANDS and len(self.said) >= self._head_bytes

    @property
    def _head_bytes(self) -> int:
        return 9 if _COMMANDS[self.said[0]][0] == wire.LONG else 1

    @property
    def long_bytes(self) -> int:
        """Length of a content that is handed on as it is asked for; 0 of others."""
        if not self.has_read:
            return 0
        return min(int.from_bytes(self.said[1 : self._head_bytes]), values.MAX_LONG_BYTES)

    @property
    def report(self) -> bytes:
        """Its last whole line, with the sign before it; empty where there is none."""
        return bytes(self.said[self._head_bytes :]).rpartition(b"\n")[0].rpartition(b"\n")[2]

    @property
    def is_done(self) -> bool:
        return self.report.startswith(worker.DONE)


class Server:
    """Use: ``listen()``, ``seclude()``, ``run()``."""

    def __init__(self, config: Config) -> None:
        self._state = config.state
        self._rules = Folder(directory(config.state))
        self._mail, self._files = (socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) for _ in range(2))
        self._children: dict[int, _Child] = {}

    def listen(self) -> None:
        _listen(self._mail, wire.socket_path(self._state))
        _listen(self._files, wire.files_socket_path(self._state))

    def seclude(self) -> None:
        """Give up what is not needed from here on. Errors: OSError."""
        seclusion.closed_memory()
        packages = [Path(module.__path__[0]).parent for module in (beffroi, beffroi_protocol)]
        code = [Path("/usr"), Path("/lib"), Path("/lib64"), Path("/dev/null"), Path(sys.prefix), *packages]
        if not seclusion.only_these_files([*code, directory(self._state)]):
            log.warning("this kernel has no Landlock: file modes alone keep files from the scanner")
        seclusion.no_sockets_no_programs()

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        ending = programs.Ending()
        looked_at = 0.0
        try:
            while not ending.is_asked:
                if time.monotonic() - looked_at > RULES_EVERY_S:
                    self._look_at_rules()
                    looked_at = time.monotonic()
                self._turn()
        finally:
            for child in self._children.values():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child.pid, signal.SIGKILL)

    def _look_at_rules(self) -> None:
        if self._rules.changed():
            log.info("rules in force: %d (%s)", self._rules.rules.count, self._rules.rules.mark)
            for why in self._rules.refused.values():
                log.error("%s", why)

    def _turn(self) -> None:
        poll = select.poll()
        if len(self._children) < AT_ONCE:
            poll.register(self._mail, select.POLLIN)
            if sum(child.is_file for child in self._children.values()) < FILES_AT_ONCE:
                poll.register(self._files, select.POLLIN)
        for descriptor in self._children:
            poll.register(descriptor, select.POLLIN)
        ends = [child.until for child in self._children.values()]
        wait_s = min([RULES_EVERY_S, *(max(0.0, end - time.monotonic()) for end in ends)])
        for descriptor, _ in poll.poll(wait_s * 1000 + 1):
            if descriptor in (self._mail.fileno(), self._files.fileno()):
                self._accept(is_file=descriptor == self._files.fileno())
            else:
                self._hear(descriptor)
        for descriptor, child in list(self._children.items()):
            if time.monotonic() > child.until:
                log.warning("a file took too long to look at")
                self._end(descriptor)

    def _accept(self, *, is_file: bool) -> None:
        try:
            connection, _ = (self._files if is_file else self._mail).accept()
        except OSError:
            return
        receiving, sending = os.pipe()
        pid = os.fork()
        if pid == 0:
            if is_file:
                os.nice(FILES_NICE)
            # Where a picture leads is asked of mail alone: photos in the drive would cost it.
            codes_cpu_s = 0 if is_file else codes.CPU_S
            worker.serve(connection, sending, self._rules.rules, self._version(), codes_cpu_s=codes_cpu_s)
        os.close(sending)
        os.set_blocking(receiving, False)
        until = time.monotonic() + worker.READING_S + LOOKING_S
        self._children[receiving] = _Child(pid, connection, until, is_file)

    def _version(self) -> bytes:
        rules: Rules = self._rules.rules
        refused = f"; refused: {', '.join(sorted(self._rules.refused))}" if self._rules.refused else ""
        return f"Beffroi scan; rules {rules.mark}, {rules.count} in force, reader {looking.READER}{refused}".encode()

    def _hear(self, descriptor: int) -> None:
        child = self._children[descriptor]
        had_read = child.has_read
        piece = os.read(descriptor, 256 * 1024)
        child.said += piece
        if child.has_read and not had_read:
            looking_s = FILES_LOOKING_S if child.is_file else LOOKING_S
            child.until = time.monotonic() + looking_s + child.long_bytes / LONG_EACH_BYTES
        if not piece or len(child.said) > values.MAX_ANSWER_BYTES:
            self._end(descriptor)

    def _end(self, descriptor: int) -> None:
        """Take the child away and answer for it; when it has not read a whole stream, nobody is told anything."""
        child = self._children.pop(descriptor)
        os.close(descriptor)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGKILL)
        _, status = os.waitpid(child.pid, 0)
        with child.connection:
            # Who hands a long content on may be slow, and come again: that says nothing about it.
            is_gone = child.long_bytes > 0 and status == 0 and not child.is_done
            if child.has_read and not is_gone:
                self._answer(child, status)

    def _answer(self, child: _Child, status: int) -> None:
        command, end = _COMMANDS[child.said[0]]
        try:
            most_text = values.MOST_WORDS_TEXT if command == wire.WORDS else values.MAX_TEXT
            report = values.decode(child.report[1:], most_text=most_text)
            if not child.is_done:
                log.warning("a file was too much for its child (status %d)", status)
                report = Report({**report.found, kinds.UNREADABLE: []}, is_whole=False)
        except ValueError:
            log.warning("a file was too much for its child (status %d)", status)
            report = values.UNREADABLE
        if report.found:
            log.info("%s %s", report.sha256 or "-", " ".join(report.names()))
        _send(child.connection, wire.answer(command, report) + end)


def _listen(listener: socket.socket, path: Path) -> None:
    path.unlink(missing_ok=True)
    listener.bind(str(path))
    path.chmod(0o660)  # the group of its directory
    listener.listen(BACKLOG)
    listener.setblocking(False)


def _send(connection: socket.socket, data: bytes) -> None:
    """To one who may have gone, or reads nothing: that is theirs."""
    connection.settimeout(1.0)
    with contextlib.suppress(OSError):
        connection.sendall(data)


def serve(config: Config) -> None:
    """Errors: OSError."""
    server = Server(config)
    server.listen()
    server.seclude()
    log.info("listening")
    server.run()


def main() -> int:
    return programs.run(serve)
