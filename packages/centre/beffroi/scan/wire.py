"""The clamd protocol as far as we speak it, and two commands of our own. Both ends.

A command is ``zNAME`` and a zero, or ``nNAME`` and a newline; the answer ends in the same sign.

| command | then | answer |
|---|---|---|
| PING | | PONG |
| VERSION | | "Beffroi scan", mark and number of the rules in force, files of rules that are refused |
| INSTREAM | pieces: length (4 bytes, big-endian), bytes; length 0 ends | "stream: OK" or "stream: NAME FOUND" |
| FACTS | as INSTREAM | one line of JSON: a ``values.Report``, with all findings and the text |
| WORDS | as INSTREAM | one line of JSON: a ``values.Report`` without findings, with more of the text, for an index |

The name is that of the strongest finding. A stream that is too long is told "INSTREAM size limit exceeded. ERROR", an
unknown command "UNKNOWN COMMAND".
Source:  clamd(8).
"""

from __future__ import annotations

import socket
import struct
from pathlib import Path

from beffroi.scan import values
from beffroi.scan.values import Report

PING, VERSION, INSTREAM, FACTS, WORDS = "PING", "VERSION", "INSTREAM", "FACTS", "WORDS"
WITH_STREAM = (INSTREAM, FACTS, WORDS)
TOO_LONG, UNKNOWN = b"INSTREAM size limit exceeded. ERROR", b"UNKNOWN COMMAND"
_MAX_COMMAND = 32
_PIECE_BYTES = 1024 * 1024


def folder(state: Path) -> Path:
    """Of the socket for mail: rspamd's group."""
    return state / "scan"


def socket_path(state: Path) -> Path:
    return folder(state) / "scan.sock"


def files_folder(state: Path) -> Path:
    """Of the socket for files: the group of the Python processes."""
    return state / "scan-files"


def files_socket_path(state: Path) -> Path:
    return files_folder(state) / "scan.sock"


class Refused(Exception):
    """What the other side is told instead of an answer."""

    def __init__(self, answer: bytes) -> None:
        super().__init__(answer)
        self.answer = answer


class Ended(Exception):
    """The other side went away in the middle."""


def read_command(connection: socket.socket) -> tuple[str, bytes]:
    """Return the command and the sign that ends its answer. Errors: Refused, Ended, OSError."""
    first = _exactly(connection, 1)
    end = {b"z": b"\0", b"n": b"\n"}.get(first)
    if end is None:
        raise Refused(UNKNOWN)
    name = b""
    while (sign := _exactly(connection, 1)) != end:
        name += sign
        if len(name) > _MAX_COMMAND:
            raise Refused(UNKNOWN)
    return name.decode("ascii", "replace"), end


def read_stream(connection: socket.socket, *, most_bytes: int) -> bytes:
    """Errors: Refused when it is longer, Ended, OSError."""
    data = bytearray()
    while length := struct.unpack(">I", _exactly(connection, 4))[0]:
        if len(data) + length > most_bytes:
            raise Refused(TOO_LONG)
        data += _exactly(connection, length)
    return bytes(data)


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        piece = connection.recv(min(count - len(data), _PIECE_BYTES))
        if not piece:
            raise Ended
        data += piece
    return bytes(data)


def answer(command: str, report: Report) -> bytes:
    """What a command with a stream says, without its end."""
    if command in (FACTS, WORDS):
        return values.encode(report)
    name = next(report.names(), "")
    return f"stream: {name} FOUND".encode() if name else b"stream: OK"


# -- who asks ------------------------------------------------------------------------------------------------


def ask(path: Path, command: str, data: bytes = b"", *, timeout_s: float = 30.0) -> bytes:
    """The answer of the process behind a socket, without its end. Errors: OSError, Ended."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        connection.connect(str(path))
        connection.sendall(b"z" + command.encode("ascii") + b"\0")
        if command in WITH_STREAM:
            if data:
                connection.sendall(struct.pack(">I", len(data)))
                connection.sendall(data)
            connection.sendall(struct.pack(">I", 0))
        reply = bytearray()
        while not reply.endswith(b"\0"):
            piece = connection.recv(_PIECE_BYTES)
            if not piece:
                raise Ended
            reply += piece
    return bytes(reply[:-1])
