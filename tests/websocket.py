"""A websocket client for tests: as much of RFC 6455 as a program that hears text lines needs."""

from __future__ import annotations

import base64
import os
import socket
import ssl
import struct
from types import TracebackType
from typing import Self

from tests.waiting import PATIENCE_S

_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10


class Closed(Exception):
    """The server ended the connection; ``code`` says why, 0 where it said nothing."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class WebSocket:
    def __init__(
        self, port: int, path: str, context: ssl.SSLContext | None = None, *, origin: str = ""
    ) -> None:
        """``status``: of the answer to the hand-shake; other than 101, nothing else works. ``context``: of TLS.
        ``origin``: of the page that opens it; "" for a program."""
        self._line = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
        if context is not None:
            self._line = context.wrap_socket(self._line, server_hostname="localhost")
        key = base64.b64encode(os.urandom(16)).decode()
        self._line.sendall(
            f"GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n".encode()
            + (f"Origin: {origin}\r\n" if origin else "").encode()
            + b"\r\n"
        )
        self._bytes = b""
        while b"\r\n\r\n" not in self._bytes:
            self._more()
        head, _, self._bytes = self._bytes.partition(b"\r\n\r\n")
        self.status = int(head.split()[1])

    def send(self, text: str) -> None:
        self._frame(_TEXT, text.encode())

    def flood(self, data: bytes) -> None:
        """Bytes as they are. Errors: OSError (nobody takes them in)."""
        self._line.sendall(data)

    def begin(self, data: bytes, timeout_s: float) -> None:
        """The first fragment of a text whose end never comes. Errors: OSError (nobody takes it in)."""
        self._line.settimeout(timeout_s)
        self._line.sendall(bytes([_TEXT, 127 | 128]) + struct.pack("!Q", len(data)) + bytes(4) + data)

    def hear(self, timeout_s: float = PATIENCE_S) -> str:
        """The next line. Errors: Closed, TimeoutError."""
        self._line.settimeout(timeout_s)
        while True:
            kind, data = self._received()
            if kind == _TEXT:
                return data.decode()
            if kind == _CLOSE:
                raise Closed(struct.unpack("!H", data[:2])[0] if len(data) >= 2 else 0)
            if kind == _PING:
                self._frame(_PONG, data)

    def _received(self) -> tuple[int, bytes]:
        self._need(2)
        kind, length, at = self._bytes[0] & 15, self._bytes[1] & 127, 2
        for mark, form in ((126, "!H"), (127, "!Q")):
            if self._bytes[1] & 127 == mark:
                at += struct.calcsize(form)
                self._need(at)
                (length,) = struct.unpack(form, self._bytes[2:at])
        self._need(at + length)
        data, self._bytes = self._bytes[at : at + length], self._bytes[at + length :]
        return kind, data

    def _need(self, count: int) -> None:
        """A time-out loses nothing of what came already."""
        while len(self._bytes) < count:
            self._more()

    def _more(self) -> None:
        piece = self._line.recv(65536)
        if not piece:
            raise Closed(0)
        self._bytes += piece

    def _frame(self, kind: int, data: bytes) -> None:
        mask = os.urandom(4)
        size = (
            bytes([len(data) | 128]) if len(data) < 126 else bytes([126 | 128]) + struct.pack("!H", len(data))
        )
        masked = bytes(one ^ mask[at % 4] for at, one in enumerate(data))
        self._line.sendall(bytes([kind | 128]) + size + mask + masked)

    def close(self) -> None:
        self._line.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
