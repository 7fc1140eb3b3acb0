"""The engines that look at a content: our process ``scan`` (YARA, archives, documents), and a clamd where one is set.

Purpose: one content is shown to each; what they say is codes and names. Which rules looked has a mark.
Hostile: what a clamd says beyond its protocol; of ``scan`` its parent lets codes and words through alone.
Fails:   closed: EngineAway, also where a clamd says that it failed, and the content stays "not yet scanned". An engine
         that fails on one content and answers otherwise has not looked at it (``scanner``).
Source:  clamd(8); docs/decisions/0046-scanner-process.md.
"""

from __future__ import annotations

import hashlib
import re
import socket
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from beffroi.drive.store.findings import VIRUS
from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError
from beffroi.scan import kinds, values, wire

MOST_BYTES = values.MAX_FILE_BYTES
"""A longer content is handed on piece by piece, as it is asked for."""
LOOK = b"2"
"""How contents are looked at: another one leads to a walk, as other rules do."""
LOOK_S, LONG_S, ASK_S = 90.0, 600.0, 5.0
"""Of a short content: ``scan`` takes a minute at most, and has one file of ours at a time before this one. LONG_S: for
the answer of a clamd that has a long one."""
CLAMD_WINDOWS_BYTES = tuple(n * 1024 * 1024 for n in (64, 16, 4, 1))
"""Of what a clamd takes in no one piece (StreamMaxLength, MaxFileSize): the first length that it takes."""
OVERLAP_BYTES = 256 * 1024
_CLEAN = b"stream: OK"
_TOO_LONG = b"INSTREAM size limit exceeded. ERROR"
# By the settings AlertExceedsMax and AlertEncrypted: a clamd says so of what it did not look into.
_NOT_SEEN = ("Heuristics.Limits.Exceeded", "Heuristics.Encrypted.")
_ANSWER = re.compile(rb"stream: (.+) FOUND", re.DOTALL)
_ODD = re.compile(rb"[^\x21-\x7e]")
_MOST_NAME = 120
_PIECE_BYTES = 256 * 1024
type Read = Callable[[int, int], bytes]
"""(offset, length) → these bytes of a content."""


class EngineAway(BeffroiError):
    """The scanner {} does not answer; files that come wait for it."""

    code = "drive.engine_away"
    http_status = 503
    retryable = True

    def __init__(self, engine: str) -> None:
        super().__init__(engine)
        self.engine = engine


@dataclass(frozen=True)
class Said:
    """``found``: code → names. ``is_whole``: the engines read it to its end. ``files``, ``malware``: as
    ``scan.values.Report``; of what a clamd knows it says not in which file."""

    found: dict[str, list[str]]
    is_whole: bool
    files: tuple[str, ...] = ()
    malware: tuple[str, ...] = ()


class Engines:
    def __init__(self, config: Config) -> None:
        self._scan = wire.files_socket_path(config.state) if config.scan else None
        self._clamd = config.clamd

    def mark(self) -> str:
        """Of the rules in force; other rules have another one. Errors: EngineAway."""
        parts = [LOOK]
        if self._scan is not None:
            parts.append(_asking("scan", lambda: self._asked_scan(wire.VERSION, b"", ASK_S)))
        if self._clamd:
            parts.append(_asking("clamd", lambda: self._asked_clamd(b"zVERSION\0", None, ASK_S)))
        return hashlib.sha256(b"\n".join(parts)).hexdigest()[:16]

    def prove(self) -> None:
        """That they look at what harms nobody: one that says its version may fail on everything else, as a clamd does
        whose disk is full. Errors: EngineAway."""
        self.look(b"-")

    def look(self, data: bytes) -> Said:
        """What they say of a content of at most MOST_BYTES. Errors: EngineAway."""
        return self._look(
            len(data),
            lambda offset, length: data[offset : offset + length],
            lambda: self._asked_scan(wire.FACTS, data, LOOK_S),
            LOOK_S,
        )

    def look_long(self, size_bytes: int, read: Read) -> Said:
        """The same of a longer one, of MAX_LONG_BYTES at most. Errors: EngineAway, those of ``read``."""
        length = min(size_bytes, values.MAX_LONG_BYTES)
        said = self._look(length, read, lambda: self._asked_scan_long(length, read), LONG_S)
        if length < size_bytes:
            said.found.pop(kinds.UNREADABLE, None)  # we cut it off ourselves
            return replace(said, is_whole=False)
        return said

    def _look(self, size_bytes: int, read: Read, scan: Callable[[], bytes], timeout_s: float) -> Said:
        found: dict[str, list[str]] = {}
        is_whole, report = True, values.Report()
        if self._scan is not None:
            try:
                report = values.decode(_asking("scan", scan))
            except ValueError:
                raise EngineAway("scan") from None
            found |= report.found
            is_whole = report.is_whole and kinds.UNREADABLE not in found
        if self._clamd:
            name, was_seen = self._by_clamd(size_bytes, read, timeout_s)
            is_whole &= was_seen
            if name:
                found[VIRUS] = [name]
        return Said(found, is_whole, tuple(report.files), tuple(report.malware))

    def _by_clamd(self, size_bytes: int, read: Read, timeout_s: float) -> tuple[str, bool]:
        """(signature or "", whether it took all in one piece)."""
        answer = self._streamed(0, size_bytes, read, timeout_s)
        if not _is_too_long(answer):
            return _named(answer), answer == _CLEAN
        for window in CLAMD_WINDOWS_BYTES:
            if window >= size_bytes:
                continue
            for start in range(0, size_bytes, window - OVERLAP_BYTES):
                answer = self._streamed(start, min(window, size_bytes - start), read, LOOK_S)
                if _is_too_long(answer) and start == 0:
                    break
                if name := _named(answer):
                    return name, False
            else:
                break
        return "", False

    def _streamed(self, start: int, length: int, read: Read, timeout_s: float) -> bytes:
        def pieces() -> Iterator[bytes]:
            for at in range(start, start + length, _PIECE_BYTES):
                yield read(at, min(_PIECE_BYTES, start + length - at))

        answer = _asking("clamd", lambda: self._asked_clamd(b"zINSTREAM\0", pieces(), timeout_s))
        if answer != _CLEAN and not _is_too_long(answer) and not _ANSWER.fullmatch(answer):
            raise EngineAway("clamd")  # it looked at nothing: its disk is full, or it has no memory
        return answer

    def _asked_scan_long(self, length: int, read: Read) -> bytes:
        assert self._scan is not None
        return wire.ask_long(self._scan, length, read)

    def _asked_scan(self, command: str, data: bytes, timeout_s: float) -> bytes:
        assert self._scan is not None
        return wire.ask(self._scan, command, data, timeout_s=timeout_s)

    def _asked_clamd(self, command: bytes, pieces: Iterable[bytes] | None, timeout_s: float) -> bytes:
        with _connected(self._clamd, timeout_s) as connection:
            connection.sendall(command)
            if pieces is not None:
                _send(connection, pieces)
            reply = bytearray()
            while not reply.endswith(b"\0") and len(reply) < 4096:
                piece = connection.recv(4096)
                if not piece:
                    raise wire.Ended
                reply += piece
        return bytes(reply.rstrip(b"\0"))


def _is_too_long(answer: bytes) -> bool:
    return answer == _TOO_LONG or answer.startswith(b"stream: Heuristics.Limits.Exceeded")


def _named(answer: bytes) -> str:
    """The signature of an answer; "" where there is none, or it says that something was not seen."""
    match = _ANSWER.fullmatch(answer)
    name = _ODD.sub(b"_", match[1])[:_MOST_NAME].decode("ascii") if match else ""
    return "" if name.startswith(_NOT_SEEN) else name


def _send(connection: socket.socket, pieces: Iterable[bytes]) -> None:
    try:
        for piece in pieces:
            connection.sendall(struct.pack(">I", len(piece)) + piece)
        connection.sendall(struct.pack(">I", 0))
    except (BrokenPipeError, ConnectionResetError):
        pass  # it had enough: its answer says so


def _connected(place: str, timeout_s: float) -> socket.socket:
    """``place``: a path, or HOST:PORT."""
    if not place.startswith("/"):
        host, _, port = place.rpartition(":")
        return socket.create_connection((host.strip("[]"), int(port)), timeout_s)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout_s)
    try:
        connection.connect(str(Path(place)))
    except BaseException:
        connection.close()
        raise
    return connection


def _asking(name: str, ask: Callable[[], bytes]) -> bytes:
    try:
        return ask()
    except (OSError, wire.Ended, ValueError):
        raise EngineAway(name) from None
