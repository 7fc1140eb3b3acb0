"""HTTP/1.1 for the engines of this machine: a thread for each connection, and connections are kept.

Purpose: a mail is the work of one thread from its request to its answer. An event loop and a framework between them
         change threads five times a mail, and cost more than check and evidence.
Process: mailgate, loopback only.
Hostile: whatever runs on this machine may connect; who does not show the key is told nothing (``app``). Heads, bodies,
         silence and connections are bounded; of HTTP only bodies with a Content-Length are understood.
Fails:   what is not understood gets 400, and its connection ends. Stopping lets requests in hand have their answer.
Source:  RFC 9112.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import socketserver
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec

from beffroi.lib.errors import BeffroiError, TooLarge

CONNECTIONS = 512
"""rspamd holds one for each mail that it looks at at the same time, Dovecot some."""
SILENCE_S = 120.0
"""rspamd itself ends a connection that it has not used for 65 s: a question never meets one that just ends."""
MAX_LINE_BYTES, MAX_HEADERS = 8192, 64
log = logging.getLogger("beffroi.mailgate")


class RequestMalformed(BeffroiError):
    """This is no request that is understood here."""

    code = "mail.request_malformed"
    http_status = 400


class Request:
    """``headers``: names in lower case. ``path`` without ``query``."""

    def __init__(self, stream: Any, method: str, target: str, headers: Mapping[str, str]) -> None:
        """Errors: RequestMalformed."""
        self.method, self.headers, self._stream = method, headers, stream
        self.path, _, self.query = target.partition("?")
        length = headers.get("content-length", "0")
        if "transfer-encoding" in headers or not (
            length.isascii() and length.isdecimal() and len(length) < 12
        ):
            raise RequestMalformed
        self.unread_bytes = int(length)

    def body(self, limit_bytes: int) -> bytes:
        """Once. Errors: TooLarge, RequestMalformed (it ended before its length)."""
        if self.unread_bytes > limit_bytes:
            raise TooLarge(limit_bytes)
        length, self.unread_bytes = self.unread_bytes, 0
        body: bytes = self._stream.read(length)
        if len(body) < length:
            raise RequestMalformed
        return body


def read_request(stream: Any) -> Request | None:
    """The next request of a connection; None at its end. Errors: RequestMalformed."""
    first = _line(stream)
    if not first:
        return None
    words = first.rstrip("\r\n").split(" ")
    if len(words) != 3 or words[2] not in ("HTTP/1.1", "HTTP/1.0"):
        raise RequestMalformed
    headers: dict[str, str] = {}
    for _ in range(MAX_HEADERS + 1):
        line = _line(stream).rstrip("\r\n")
        if not line:
            return Request(stream, words[0], words[1], headers)
        name, colon, value = line.partition(":")
        # Two lengths, or a name with a space: two programs would read two requests.
        if not colon or name != name.strip() or name.lower() in headers:
            raise RequestMalformed
        headers[name.lower()] = value.strip()
    raise RequestMalformed


def _line(stream: Any) -> str:
    line: bytes = stream.readline(MAX_LINE_BYTES)
    if line and not line.endswith(b"\n"):
        raise RequestMalformed
    return line.decode("latin-1")


class Server(socketserver.ThreadingTCPServer):
    """``answer``: a request in, what is sent as JSON out; its errors are answers, too. Errors: OSError (port taken)."""

    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], answer: Callable[[Request], object]) -> None:
        self.answer = answer
        self.stopping = False
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(address, _Connection)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """False, and it is closed at once, when there are too many."""
        with self._lock:
            if len(self._open) >= CONNECTIONS:
                return False
            self._open.add(request)
            return True

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.exception("a request failed")

    def stop(self) -> None:
        """Take no more; return when each request in hand has its answer."""
        self.shutdown()
        self.stopping = True
        with self._lock:
            for one in self._open:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RD)
        self.server_close()  # waits for the threads


class _Connection(socketserver.StreamRequestHandler):
    server: Server
    timeout = SILENCE_S
    disable_nagle_algorithm = True

    def handle(self) -> None:
        with contextlib.suppress(OSError):  # silent for too long, or gone
            while not self.server.stopping and self._one():
                pass

    def _one(self) -> bool:
        """Answer one request; False when the connection ends with it."""
        try:
            request = read_request(self.rfile)
        except BeffroiError as error:
            self._send(error.http_status, _told(error), keep=False)
            return False
        if request is None:
            return False
        try:
            status, answer = HTTPStatus.OK.value, self.server.answer(request)
        except BeffroiError as error:
            status, answer = error.http_status, _told(error)
        keep = not request.unread_bytes and request.headers.get("connection", "").lower() != "close"
        self._send(status, answer, keep=keep)
        return keep

    def _send(self, status: int, answer: object, *, keep: bool) -> None:
        body = msgspec.json.encode(answer)
        # rspamd opens a connection for each mail where "keep-alive" is not said, whatever the version is.
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\n"
            f"connection: {'keep-alive' if keep else 'close'}\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        self.connection.sendall(head.encode("ascii") + body)


def _told(error: BeffroiError) -> dict[str, str]:
    return {"code": error.code, "message": str(error)}
