"""HTTP/1.1 for the engines of this machine: a thread for each connection, and connections are kept.

Purpose: a mail is the work of one thread from its request to its answer. An event loop and a framework between them
         change threads five times a mail, and cost more than check and evidence.
Process: mailgate, loopback only.
Hostile: whatever runs on this machine may connect; httptools (the parser of Node.js) reads it, and who does not show
         the key is told nothing (``app``). Heads, bodies, silence and connections are bounded; one request at a time.
Fails:   what is not understood gets 400, and its connection ends. Stopping lets requests in hand have their answer.
Source:  RFC 9112.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import socketserver
import threading
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import httptools
import msgspec

from beffroi.lib.errors import BeffroiError, TooLarge

CONNECTIONS = 512
"""rspamd holds one for each mail that it looks at at the same time, Dovecot some."""
SILENCE_S = 120.0
"""rspamd itself ends a connection that it has not used for 65 s: a question never meets one that just ends."""
MAX_HEAD_BYTES = 16_384
_READ_BYTES = 65_536
log = logging.getLogger("beffroi.mailgate")


class RequestMalformed(BeffroiError):
    """This is no request that is understood here."""

    code = "mail.request_malformed"
    http_status = 400


class _Message:
    """What httptools has read of one request. Names of headers in lower case."""

    def __init__(self) -> None:
        self.target, self.body = b"", bytearray()
        self.headers: dict[str, str] = {}
        self.begun = self.head_complete = self.complete = False

    def on_message_begin(self) -> None:
        if self.begun:
            raise RequestMalformed  # the next one, before this one has its answer
        self.begun = True

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.head_complete:  # behind a body in chunks: a trailer, and no header of the request
            self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self.head_complete = True

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.complete = True


class Request:
    """``headers``: names in lower case. ``path`` without ``query``."""

    def __init__(self, connection: socket.socket) -> None:
        """Read a head. Errors: RequestMalformed; EOFError where nothing comes any more."""
        self._connection, self._message = connection, _Message()
        self._parser = httptools.HttpRequestParser(self._message)
        read_bytes = 0
        while not self._message.head_complete:
            read_bytes += (got := self._receive())
            if not got and not read_bytes:
                raise EOFError
            if not got or (read_bytes > MAX_HEAD_BYTES and not self._message.head_complete):
                raise RequestMalformed
        if self._parser.get_http_version() not in ("1.0", "1.1"):
            raise RequestMalformed
        self.method = self._parser.get_method().decode("ascii")
        self.headers = self._message.headers
        self.path, _, self.query = self._message.target.decode("latin-1").partition("?")

    def body(self, limit_bytes: int) -> bytes:
        """Errors: TooLarge, RequestMalformed (it ended before its length)."""
        message = self._message
        announced = message.headers.get("content-length", "")
        while len(message.body) <= limit_bytes and int(announced or 0) <= limit_bytes:
            if message.complete:
                return bytes(message.body)
            if not self._receive():
                raise RequestMalformed
        raise TooLarge(limit_bytes)

    @property
    def keeps_connection(self) -> bool:
        """Whether the next request may follow: all of this one was read, and its client wants to go on."""
        return self._message.complete and self._parser.should_keep_alive()

    def _receive(self) -> int:
        """Read some; return how many bytes, 0 at the end. Errors: RequestMalformed, OSError (silent for too long)."""
        data = self._connection.recv(_READ_BYTES)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            raise RequestMalformed from None
        return len(data)


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


class _Connection(socketserver.BaseRequestHandler):
    server: Server

    def setup(self) -> None:
        self.request.settimeout(SILENCE_S)
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)

    def handle(self) -> None:
        with contextlib.suppress(EOFError, OSError):  # gone, or silent for too long
            while not self.server.stopping and self._one():
                pass

    def _one(self) -> bool:
        """Answer one request; False when the connection ends with it. Errors: EOFError, OSError."""
        keep = False
        try:
            request = Request(self.request)
            status, answer = HTTPStatus.OK.value, self.server.answer(request)
            keep = request.keeps_connection
        except BeffroiError as error:
            status, answer = error.http_status, {"code": error.code, "message": str(error)}
        self._send(status, answer, keep=keep)
        return keep

    def _send(self, status: int, answer: object, *, keep: bool) -> None:
        body = msgspec.json.encode(answer)
        # rspamd opens a connection for each mail where "keep-alive" is not said, whatever the version is.
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\n"
            f"connection: {'keep-alive' if keep else 'close'}\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        self.request.sendall(head.encode("ascii") + body)
