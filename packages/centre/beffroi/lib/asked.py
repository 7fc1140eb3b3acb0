"""A socket on which one process answers some of the centre's users, a line of JSON each time.

Process: queue, backup, registrar; who asks them.
Hostile: whoever asks: what is not allowed to gets no answer; a request is one line of MAX_REQUEST_BYTES at most, and
         whoever reads or writes for longer than CALLER_TIMEOUT_S is left alone.
Source:  unix(7) SO_PEERCRED.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

MAX_REQUEST_BYTES = 256 * 1024
MAX_ANSWER_BYTES = 32 * 1024 * 1024
CALLER_TIMEOUT_S = 10.0
_AT_ONCE = 4
Answerer = Callable[[bytes, socket.socket], Mapping[str, object]]
"""From a request, b"" for one that is too long, to its answer; what the socket is told before that are lines, too."""


def listen(path: Path) -> socket.socket:
    """Bind the socket. Its group is the folder's, and its mode comes from the umask alone: the folder is the Python
    user's, who could put a link in the place of a name that root changes afterwards."""
    path.unlink(missing_ok=True)
    before = os.umask(0o117)
    try:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(path))
    finally:
        os.umask(before)
    listener.listen(16)
    return listener


def serve(listener: socket.socket, answer: Answerer, *, callers: Collection[int]) -> None:
    """Answer until the listener is closed, a few at once. ``callers``: the users (numbers) who may ask."""
    room = threading.BoundedSemaphore(_AT_ONCE)

    def one(connection: socket.socket) -> None:
        with room, connection, contextlib.suppress(OSError):
            connection.settimeout(CALLER_TIMEOUT_S)
            if _user_of(connection) in callers:
                connection.sendall(line(answer(_request(connection), connection)))

    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=one, args=(connection,), daemon=True).start()


def line(answer: Mapping[str, object]) -> bytes:
    return json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def answers(path: Path, request: Mapping[str, object], *, timeout_s: float) -> Iterator[dict[str, Any]]:
    """The lines that come back, each ``timeout_s`` after the one before at most; none from who may not be asked.

    Errors: OSError, ValueError.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        connection.connect(str(path))
        connection.sendall(json.dumps(request).encode() + b"\n")
        with connection.makefile("rb") as lines:
            while one := lines.readline(MAX_ANSWER_BYTES):
                yield json.loads(one)


def _user_of(connection: socket.socket) -> int:
    peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    user: int = struct.unpack("3i", peer)[1]
    return user


def _request(connection: socket.socket) -> bytes:
    request = bytearray()
    while not request.endswith(b"\n") and len(request) <= MAX_REQUEST_BYTES:
        if not (piece := connection.recv(65536)):
            break
        request += piece
    return bytes(request) if len(request) <= MAX_REQUEST_BYTES else b""
