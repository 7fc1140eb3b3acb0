"""The clamd protocol as far as we speak it, and two commands of our own. Both ends.

A command is ``zNAME`` and a zero, or ``nNAME`` and a newline; the answer ends in the same sign.

| command | then | answer |
|---|---|---|
| PING | | PONG |
| VERSION | | "Beffroi scan", mark and number of the rules in force, the reader (``looking``), refused files of rules |
| INSTREAM | pieces: length (4 bytes, big-endian), bytes; length 0 ends | "stream: OK" or "stream: NAME FOUND" |
| FACTS | as INSTREAM | one line of JSON: a ``values.Report``, with all findings and the text |
| CODES | as INSTREAM, a text of a mail | one line of JSON: a ``values.Report``: where its QR codes and commands lead |
| WORDS | as INSTREAM | one line of JSON: a ``values.Report`` without findings, with more of the text, for an index |
| PIECE | as INSTREAM, a number (4 bytes, big-endian) before a signed mail | name and content of this file of it |
| LONG | a length (8 bytes, big-endian), answers to questions | as FACTS, after questions |

Of PIECE name and content have their length (4 bytes, big-endian) before them, and come from the child itself: they are
hostile bytes all the same. Where there is no such file, one length comes that none has (0xffffffff); nothing comes of a
mail that is more than a child may open.
A question is "r", an offset (8 bytes), a length (4), all big-endian; its answer is exactly those bytes of the content.
The name is that of the strongest finding. A stream that is too long is told "INSTREAM size limit exceeded. ERROR", an
unknown command "UNKNOWN COMMAND".
Source:  clamd(8).
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from pathlib import Path

from beffroi.scan import values
from beffroi.scan.values import Report

PING, VERSION, INSTREAM, FACTS, WORDS = "PING", "VERSION", "INSTREAM", "FACTS", "WORDS"
CODES, LONG, PIECE = "CODES", "LONG", "PIECE"
WITH_STREAM = (INSTREAM, FACTS, WORDS, CODES, PIECE)
TOO_LONG, UNKNOWN = b"INSTREAM size limit exceeded. ERROR", b"UNKNOWN COMMAND"
_MAX_COMMAND = 32
_PIECE_BYTES = 1024 * 1024
_LONG_PAUSE_S = 300.0
"""Between two questions about a long file."""
MOST_ASKED_BYTES = 64 * 1024 * 1024
_NUMBER = struct.Struct(">I")
_NO_PIECE = 0xFFFFFFFF
_QUESTION = struct.Struct(">cQI")


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


def read_length(connection: socket.socket, *, most_bytes: int) -> int:
    """Of what follows LONG. Errors: Refused when it is longer, Ended, OSError."""
    length = int(struct.unpack(">Q", _exactly(connection, 8))[0])
    if length > most_bytes:
        raise Refused(TOO_LONG)
    return length


def ask_for(connection: socket.socket, offset: int, length: int) -> bytes:
    """A part of what follows LONG. Errors: Ended, OSError."""
    connection.sendall(_QUESTION.pack(b"r", offset, length))
    return _exactly(connection, length)


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
    if command in (FACTS, WORDS, CODES, LONG):
        return values.encode(report)
    name = next(report.names(), "")
    return f"stream: {name} FOUND".encode() if name else b"stream: OK"


def send_piece(connection: socket.socket, piece: tuple[str, bytes] | None) -> None:
    """Errors: OSError."""
    if piece is None:
        connection.sendall(_NUMBER.pack(_NO_PIECE))
        return
    for one in (piece[0].encode("utf-8", "replace"), piece[1]):
        connection.sendall(_NUMBER.pack(len(one)) + one)


def numbered(data: bytes) -> tuple[int, bytes]:
    """What PIECE is about. Errors: struct.error."""
    return _NUMBER.unpack_from(data)[0], data[_NUMBER.size :]


# -- who asks ------------------------------------------------------------------------------------------------


def ask(path: Path, command: str, data: bytes = b"", *, timeout_s: float = 30.0) -> bytes:
    """The answer of the process behind a socket, without its end. Errors: OSError, Ended."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        _ask(connection, path, command, data)
        return _answer(connection)


def ask_piece(path: Path, number: int, data: bytes, *, timeout_s: float) -> tuple[str, bytes] | None:
    """(name, content) of the file with this number, from 0 on, of a signed mail; hostile; None where there is none.
    Errors: OSError, Ended (the mail is too much to open)."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        _ask(connection, path, PIECE, _NUMBER.pack(number) + data)
        (length,) = _NUMBER.unpack(_exactly(connection, _NUMBER.size))
        if length == _NO_PIECE:
            return None
        name = _counted(connection, length)
        (length,) = _NUMBER.unpack(_exactly(connection, _NUMBER.size))
        return name.decode("utf-8", "replace"), _counted(connection, length)


def _counted(connection: socket.socket, length: int) -> bytes:
    if length > values.MAX_FILE_BYTES:
        raise Ended
    return _exactly(connection, length)


def _ask(connection: socket.socket, path: Path, command: str, data: bytes) -> None:
    connection.connect(str(path))
    connection.sendall(b"z" + command.encode("ascii") + b"\0")
    if command in WITH_STREAM:
        if data:
            connection.sendall(_NUMBER.pack(len(data)))
            connection.sendall(data)
        connection.sendall(_NUMBER.pack(0))


def ask_long(path: Path, length: int, read: Callable[[int, int], bytes]) -> bytes:
    """The answer to LONG. ``read``: (offset, length) → these bytes, from within the length. Errors: OSError, Ended,
    those of ``read``."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_LONG_PAUSE_S)
        connection.connect(str(path))
        connection.sendall(b"z" + LONG.encode("ascii") + b"\0" + struct.pack(">Q", length))
        while (first := _exactly(connection, 1)) == b"r":
            _, offset, wanted = _QUESTION.unpack(first + _exactly(connection, _QUESTION.size - 1))
            if wanted > MOST_ASKED_BYTES or offset + wanted > length:
                raise Ended
            for at in range(offset, offset + wanted, _PIECE_BYTES):
                connection.sendall(read(at, min(_PIECE_BYTES, offset + wanted - at)))
        return first[:-1] if first == b"\0" else first + _answer(connection)


def _answer(connection: socket.socket) -> bytes:
    reply = bytearray()
    while not reply.endswith(b"\0"):
        piece = connection.recv(_PIECE_BYTES)
        if not piece:
            raise Ended
        reply += piece
        if len(reply) > values.MAX_ANSWER_BYTES:
            raise Ended
    return bytes(reply[:-1])
