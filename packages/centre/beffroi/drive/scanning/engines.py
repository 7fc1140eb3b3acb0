"""The engines that look at a content: our process ``scan`` (YARA, archives, documents), and a clamd where one is set.

Purpose: one content is shown to each; what they say is codes and names. Which rules looked has a mark.
Hostile: what a clamd says beyond its protocol; of ``scan`` its parent lets codes and words through alone.
Fails:   closed: EngineAway, and the content stays "not yet scanned". An engine that fails on one content and answers
         otherwise has not looked at it whole.
Source:  clamd(8); docs/decisions/0046-scanner-process.md.
"""

from __future__ import annotations

import hashlib
import re
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from beffroi.drive.store.findings import VIRUS
from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError
from beffroi.scan import kinds, values, wire

MOST_BYTES = values.MAX_FILE_BYTES
"""Of a longer content the beginning is looked at."""
LOOK_S, ASK_S = 60.0, 5.0
"""``scan`` takes 40 s at most, and has one file of ours at a time before this one."""
_ANSWER = re.compile(rb"stream: ([\x21-\x7e]{1,120}) FOUND")
_PIECE_BYTES = 256 * 1024


class EngineAway(BeffroiError):
    """The scanner {} does not answer; files that come wait for it."""

    code = "drive.engine_away"
    http_status = 503
    retryable = True


@dataclass(frozen=True)
class Said:
    """``found``: code → names. ``is_whole``: the engines read it to its end."""

    found: dict[str, list[str]]
    is_whole: bool


class Engines:
    def __init__(self, config: Config) -> None:
        self._scan = wire.files_socket_path(config.state) if config.scan else None
        self._clamd = config.clamd

    @property
    def are_there(self) -> bool:
        """Whether anything is set to look at files."""
        return self._scan is not None or bool(self._clamd)

    def mark(self) -> str:
        """Of the rules in force; other rules have another one. Errors: EngineAway."""
        parts = []
        if self._scan is not None:
            parts.append(_asking("scan", lambda: self._asked_scan(wire.VERSION, b"", ASK_S)))
        if self._clamd:
            parts.append(_asking("clamd", lambda: self._asked_clamd(b"zVERSION\0", None, ASK_S)))
        return hashlib.sha256(b"\n".join(parts)).hexdigest()[:16]

    def look(self, data: bytes, *, is_whole: bool) -> Said:
        """What they say of these bytes. ``is_whole``: they are all of the content. Errors: EngineAway."""
        found: dict[str, list[str]] = {}
        if self._scan is not None:
            found |= self._report(data).found
            if kinds.UNREADABLE in found:
                if not is_whole:  # we cut it off ourselves
                    del found[kinds.UNREADABLE]
                is_whole = False
        if self._clamd:
            answer = _asking("clamd", lambda: self._asked_clamd(b"zINSTREAM\0", data, LOOK_S))
            if match := _ANSWER.fullmatch(answer):
                found[VIRUS] = [match[1].decode("ascii")]
            elif answer != b"stream: OK":
                is_whole = False  # too long for it, or it gave up
        return Said(found, is_whole)

    def _report(self, data: bytes) -> values.Report:
        answer = _asking("scan", lambda: self._asked_scan(wire.FACTS, data, LOOK_S))
        try:
            return values.decode(answer)
        except ValueError:
            raise EngineAway("scan") from None

    def _asked_scan(self, command: str, data: bytes, timeout_s: float) -> bytes:
        assert self._scan is not None
        return wire.ask(self._scan, command, data, timeout_s=timeout_s)

    def _asked_clamd(self, command: bytes, data: bytes | None, timeout_s: float) -> bytes:
        with _connected(self._clamd, timeout_s) as connection:
            connection.sendall(command)
            if data is not None:
                _send(connection, data)
            reply = bytearray()
            while not reply.endswith(b"\0") and len(reply) < 4096:
                piece = connection.recv(4096)
                if not piece:
                    raise wire.Ended
                reply += piece
        return bytes(reply.rstrip(b"\0"))


def _send(connection: socket.socket, data: bytes) -> None:
    try:
        for at in range(0, len(data), _PIECE_BYTES):
            piece = data[at : at + _PIECE_BYTES]
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
