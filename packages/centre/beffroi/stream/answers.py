"""Answers of the stream process: problems, small JSON, and the responses that are held open for doors and browsers.

Process: stream.
Input:   bodies are hostile: read in pieces, never more than the limit, never longer than ``BODY_TIMEOUT_S``.
"""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections.abc import Mapping

import msgspec
from beffroi_protocol.errors import KeyExpired, KeyUnknown, MessageTooLarge, ProtocolError, SignatureInvalid
from beffroi_protocol.messages import MAX_POST_BYTES, Problem, encode
from beffroi_protocol.requests import NONCE_HEADER
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from beffroi.lib.errors import BeffroiError, Invalid, TooLarge
from beffroi.stream.hub import Hub, Subscriber

BODY_TIMEOUT_S = 20.0
DEFLATE = "deflate"
"""zlib, RFC 1950: the only encoding of a body."""


class TooMany(BeffroiError):
    """Too many requests; wait a little."""

    code = "request.too_many"
    http_status = 429
    retryable = True


class TooSlow(BeffroiError):
    """The request took too long to arrive."""

    code = "request.too_slow"
    http_status = 408
    retryable = True


def problem(error: BeffroiError | ProtocolError, nonce: str = "") -> Response:
    """Return the refusal as JSON with its stable code."""
    if isinstance(error, BeffroiError):
        status, retryable = error.http_status, error.retryable
    else:
        unauthorised = isinstance(error, SignatureInvalid | KeyUnknown | KeyExpired)
        status = 413 if isinstance(error, MessageTooLarge) else 401 if unauthorised else 400
        retryable = False
    return answer(Problem(error.code, str(error), retryable), status=status, nonce=nonce)


def answer(message: msgspec.Struct | Mapping[str, object], *, status: int = 200, nonce: str = "") -> Response:
    body = encode(message) if isinstance(message, msgspec.Struct) else msgspec.json.encode(message)
    headers = {"Cache-Control": "no-store"}
    if nonce:
        headers[NONCE_HEADER] = nonce
        headers["Accept-Encoding"] = DEFLATE  # RFC 7694: what the next request may use
    return Response(body, status, headers, "application/json")


def inflated(request: Request, body: bytes) -> bytes:
    """Return what a compressed body holds, never more than a plain one may. Errors: TooLarge, Invalid."""
    if "content-encoding" not in request.headers:
        return body
    opener = zlib.decompressobj()
    try:
        plain = opener.decompress(body, MAX_POST_BYTES + 1)
    except zlib.error:
        raise Invalid("content-encoding") from None
    if len(plain) > MAX_POST_BYTES:
        raise TooLarge(MAX_POST_BYTES)
    if not opener.eof or opener.unused_data:
        raise Invalid("content-encoding")
    return plain


async def read_body(request: Request) -> bytes:
    """Return the bytes as sent, which are those that were signed; ``inflated`` opens them.

    Errors: TooLarge, TooSlow, Invalid (an unknown encoding, or cut off).
    """
    if request.headers.get("content-encoding", DEFLATE) != DEFLATE:
        raise Invalid("content-encoding")
    length = request.headers.get("content-length", "0")
    if not length.isascii() or not length.isdigit() or len(length) > 12:
        raise Invalid("content-length")
    if int(length) > MAX_POST_BYTES:
        raise TooLarge(MAX_POST_BYTES)
    pieces, size = [], 0
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for piece in request.stream():
                size += len(piece)
                if size > MAX_POST_BYTES:
                    raise TooLarge(MAX_POST_BYTES)
                pieces.append(piece)
    except TimeoutError:
        raise TooSlow from None
    except ClientDisconnect:
        raise Invalid("body") from None
    return b"".join(pieces)


class Held(Response):
    """A response held open: it writes what its subscriber is given until either side ends it."""

    def __init__(
        self,
        hub: Hub,
        subscriber: Subscriber,
        *,
        media_type: str,
        idle: bytes = b"",
        idle_s: float | None = None,
        life_s: float | None = None,
    ) -> None:
        """``idle`` is written whenever nothing was for ``idle_s``; ``life_s`` ends the response."""
        super().__init__(None, 200, {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}, media_type)
        self.raw_headers = [h for h in self.raw_headers if h[0] != b"content-length"]
        self._hub = hub
        self._subscriber = subscriber
        self._idle = idle
        self._idle_s = idle_s
        self._life_s = life_s
        self._ready = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        writer = asyncio.create_task(self._write(send))
        reader = asyncio.create_task(_disconnected(receive))
        self._subscriber.on_ready, self._subscriber.on_close = self._ready.set, writer.cancel
        try:
            async with asyncio.timeout(self._life_s):
                await asyncio.wait((writer, reader), return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            pass
        finally:
            self._hub.remove(self._subscriber)
            for task in (reader, writer):
                task.cancel()
            with contextlib.suppress(OSError, TimeoutError):
                await asyncio.gather(reader, writer, return_exceptions=True)
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(1.0):
                await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _write(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        now_s = asyncio.get_running_loop().time
        while data := await self._next():
            self._subscriber.writing_since_s = now_s()
            await send({"type": "http.response.body", "body": data, "more_body": True})
            self._subscriber.writing_since_s = 0.0

    async def _next(self) -> bytes:
        """Return what is to be written; empty at the end."""
        while not (data := self._subscriber.take()) and not self._subscriber.closed:
            self._ready.clear()
            try:
                async with asyncio.timeout(self._idle_s):
                    await self._ready.wait()
            except TimeoutError:
                return self._idle
        return data


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
