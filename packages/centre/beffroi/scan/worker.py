"""One connection in one child that can do nothing but look at what comes up it.

Process: a child of ``scan``. The parent never holds a byte of a file; the child reads it from the connection, looks,
         and hands its report to the parent through a pipe. It has no new socket, no program, no other process, no
         file but our code, and limits of memory, CPU and time.
Hostile: what comes; and, once it was looked at, the child: the parent lets through only what ``values.decode`` knows.
Fails:   closed: a child that ends without a report has met a file that cannot be read.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
from collections.abc import Callable
from functools import partial
from typing import NoReturn

from beffroi.lib import seclusion
from beffroi.scan import kinds, looking, texts, values, wire
from beffroi.scan.archives import OutOfTime
from beffroi.scan.bodies import Body, Long
from beffroi.scan.rules import Rules
from beffroi.scan.values import Report

MEMORY_BYTES = 768 * 1024 * 1024
CPU_S, CPU_EACH_BYTES = 6, 8 * 1024 * 1024
"""Of looking; reading a stream takes next to none. A second more for each piece of a long content."""
READING_S = 30
HEADS = {
    (command, end): bytes((number,))
    for number, (command, end) in enumerate(
        (command, end) for command in (*wire.WITH_STREAM, wire.LONG) for end in (b"\0", b"\n")
    )
}
"""First byte to the parent: the stream is here, and the time for looking begins. Which command it was, and how its
answer ends. Without this byte there is nothing that the parent would have to say. After LONG its length (8 bytes,
big-endian)."""
EARLY, DONE = b"?", b"!"
"""First byte of a line to the parent: what the rules said, before anything was opened; the report."""

_NULL = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
"""Opened before the process gives up writing."""


def serve(
    connection: socket.socket, pipe: int, rules: Rules, version: bytes, *, codes_cpu_s: float
) -> NoReturn:
    """In the child: answer one connection, then end. ``codes_cpu_s``: as ``looking.examine``."""
    status = 1
    try:
        _give_up(keep={connection.fileno(), pipe})
        _serve(connection, pipe, rules, version, codes_cpu_s)
        status = 0
    except (wire.Ended, OSError):
        status = 0  # who asked went away, or took too long: nobody waits for an answer
    finally:
        os._exit(status)


def _give_up(*, keep: set[int]) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    gc.disable()  # the child lives for one file; a collection would only copy the parent's pages
    logging.disable(logging.CRITICAL)  # the libraries' words quote what they read
    for descriptor in (1, 2):
        os.dup2(_NULL, descriptor)
    low = 3
    for descriptor in sorted(keep):
        os.closerange(low, descriptor)
        low = descriptor + 1
    os.closerange(low, 4096)
    seclusion.no_other_process()


class Handed:
    """A long content as its owner hands it on: (offset, length) → these bytes. ``is_gone``: the owner went away, or
    was too slow, and nothing can be said about the content."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.is_gone = self._is_cut = False

    def __call__(self, offset: int, length: int) -> bytes:
        """Errors: Ended, OSError: the owner is gone; MemoryError, then and from then on."""
        if self._is_cut:
            raise MemoryError
        # An answer is read to its end: the next one would begin in the middle of it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGXCPU, signal.SIGVTALRM))
        try:
            return wire.ask_for(self._connection, offset, length)
        except MemoryError:
            self._is_cut = True
            raise
        except (wire.Ended, OSError):  # libraries between here and who called may swallow it
            self.is_gone = True
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _limit(cpu_s: int) -> None:
    """Past ``cpu_s`` what was found so far is told; past a second more the child is killed."""
    signal.signal(signal.SIGXCPU, _out_of_time)
    seclusion.limit(memory_bytes=MEMORY_BYTES, cpu_s=cpu_s, file_bytes=0)


def _serve(connection: socket.socket, pipe: int, rules: Rules, version: bytes, codes_cpu_s: float) -> None:
    connection.settimeout(READING_S)
    try:
        command, end = wire.read_command(connection)
        if command in (wire.PING, wire.VERSION):
            connection.sendall((b"PONG" if command == wire.PING else version) + end)
            return
        if command == wire.LONG:
            length = wire.read_length(connection, most_bytes=values.MAX_LONG_BYTES)
            _limit(CPU_S + length // CPU_EACH_BYTES)
            _write(pipe, HEADS[command, end] + length.to_bytes(8))
            handed = Handed(connection)
            report = _examined(Long(length, handed), rules, pipe)
            if handed.is_gone:
                raise wire.Ended
            _tell(pipe, report)
            return
        _limit(CPU_S)
        if command not in wire.WITH_STREAM:
            raise wire.Refused(wire.UNKNOWN)
        data = wire.read_stream(connection, most_bytes=values.MAX_FILE_BYTES)
    except wire.Refused as refusal:
        connection.sendall(refusal.answer + b"\0")
        return
    if command == wire.PIECE:  # whoever asks takes it for what it is: the parent has nothing to say about it
        number, mail = wire.numbered(data)
        wire.send_piece(connection, texts.piece(mail, number))
        return
    _write(pipe, HEADS[command, end])
    if command == wire.WORDS:
        _tell(pipe, _quietly(texts.read, data))
    elif command == wire.CODES:
        _tell(pipe, _quietly(looking.led_by, data, codes_cpu_s))
    else:
        _tell(pipe, _examined(data, rules, pipe, codes_cpu_s))


def _out_of_time(*_: object) -> None:
    raise OutOfTime


def _examined(body: Body, rules: Rules, pipe: int, codes_cpu_s: float = 0) -> Report:
    """What the rules say is told to the parent at once: what is opened then may be the child's end."""
    try:
        early = partial(_tell, pipe, sign=EARLY)
        return looking.examine(body, rules.matches, early=early, codes_cpu_s=codes_cpu_s)
    except (MemoryError, RecursionError, OutOfTime):
        return Report({kinds.UNREADABLE: []})


def _quietly[**P](step: Callable[P, Report], *told: P.args, **named: P.kwargs) -> Report:
    try:
        return step(*told, **named)
    except (MemoryError, RecursionError, OutOfTime):
        return Report()


def _tell(pipe: int, report: Report, sign: bytes = DONE) -> None:
    _write(pipe, sign + values.encode(report) + b"\n")


def _write(pipe: int, data: bytes) -> None:
    while data:
        data = data[os.write(pipe, data) :]
