"""Requests and answers of the drive's HTTP process: raw ASGI, typed, streaming both ways.

Purpose: no framework stands between the bytes of a file and the store; the answer of an error is in one place.
Hostile: everything in a request.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, MutableMapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from beffroi.drive.store.sealing import Bytes
from beffroi.drive.who import Who
from beffroi.lib import clock, digits
from beffroi.lib.errors import BeffroiError, Invalid, TooLarge

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Header = tuple[bytes, bytes]

PACE_BYTES, PACE_S = 16 * 1024, 60.0
"""A body that brings less is no slow line but somebody who holds connections."""
AGAIN_S = 1.0
"""A body may be kept under way for hours, by a device that is stopped or somebody who leaves meanwhile."""
SEND_S = 300.0
"""In which a client takes one piece of a body, at most 1 MiB: what it does not take stays in our memory."""
MAX_DRAINED_BYTES, MAX_DRAINED_S = 16 * 1024 * 1024, 10.0


class TooSlow(BeffroiError):
    """The request comes too slowly; the connection is needed for others."""

    code = "drive.too_slow"
    http_status = 408


class ClientGone(BeffroiError):
    """The client ended the connection before its request was whole."""

    code = "drive.client_gone"
    http_status = 400


@dataclass
class Request:
    """``path``: decoded, with slashes. ``headers``: lower-case names; of a repeated one the last. ``who``: None before
    the sign-in. ``address``: of the client, as front says it."""

    method: str
    path: str
    query: str
    headers: dict[bytes, bytes]
    receive: Receive
    address: str = ""
    who: Who | None = None
    still: Callable[[], Awaitable[object]] | None = None
    """Asked at the end of a body that took longer than AGAIN_S: may ``who`` still send it? Errors: BeffroiError."""
    is_read: bool = field(default=False, init=False)
    """Whether the body was read to its end."""
    _ends: list[Callable[[], object]] = field(default_factory=list, init=False)

    @property
    def signed_in(self) -> Who:
        """On routes that are not open."""
        assert self.who is not None, "signed in"
        return self.who

    def at_end(self, call: Callable[[], object]) -> None:
        """To be called once the request is answered to its end, or its client is gone."""
        self._ends.append(call)

    def end(self) -> None:
        while self._ends:
            self._ends.pop()()

    def header(self, name: bytes, default: str = "") -> str:
        return self.headers[name].decode("latin-1") if name in self.headers else default

    def count(self, name: bytes) -> int | None:
        """A header that is a number of bytes; None where it is not there. Errors: Invalid."""
        if name not in self.headers:
            return None
        return digits.needed(self.header(name).strip(), name.decode())

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes: PACE_BYTES within each PACE_S at least. Errors: ClientGone, TooSlow, those of
        ``still``."""
        more, came, waited_s, begun_s = True, 0, 0.0, clock.steady_s()
        while more:
            since_s = clock.steady_s()
            try:
                async with asyncio.timeout(PACE_S - waited_s):
                    message = await self.receive()
            except TimeoutError:
                raise TooSlow from None
            waited_s += clock.steady_s() - since_s  # the time that we take for a piece is not the client's
            if message["type"] == "http.disconnect":
                raise ClientGone
            more = message.get("more_body", False)
            self.is_read = not more
            if piece := message.get("body"):
                came += len(piece)
                yield piece
                if came >= PACE_BYTES:
                    came, waited_s = 0, 0.0
        await self.ask_again(begun_s)

    async def ask_again(self, begun_s: float) -> None:
        """After work that began at ``begun_s`` (``clock.steady_s``), where it was long. Errors: those of ``still``."""
        if self.still is not None and clock.steady_s() - begun_s > AGAIN_S:
            await self.still()

    async def drain(self) -> None:
        """Before a refusal: a client that is still sending would see a broken connection instead of the answer.

        Not where the rest is long, nor where the client waits for the answer before it sends.
        """
        announced = self.header(b"content-length", "0" if b"transfer-encoding" not in self.headers else "")
        if self.is_read or announced == "0" or b"expect" in self.headers:
            return
        left = MAX_DRAINED_BYTES
        try:
            async with asyncio.timeout(MAX_DRAINED_S):
                async for piece in self.chunks():
                    left -= len(piece)
                    if left < 0:
                        return
        except (TimeoutError, BeffroiError):
            return

    async def form(self, most_bytes: int, most_fields: int) -> dict[str, list[str]]:
        """Errors: TooLarge, TooSlow, ClientGone, Invalid."""
        return fields((await self.body(most_bytes)).decode("utf-8", "replace"), most_fields)

    async def body(self, most_bytes: int) -> bytes:
        """The whole body. Errors: TooLarge, ClientGone."""
        out = bytearray()
        async for piece in self.chunks():
            out += piece
            if len(out) > most_bytes:
                raise TooLarge(most_bytes)
        return bytes(out)


def fields(text: str, most: int, *, with_empty: bool = False) -> dict[str, list[str]]:
    """Of a query or a form. Errors: Invalid."""
    try:
        return parse_qs(text, keep_blank_values=with_empty, max_num_fields=most)
    except ValueError:
        raise Invalid("fields") from None


@dataclass
class Answer:
    """``body``: bytes, or pieces as they come (then a ``content-length`` header says how many bytes, or none does)."""

    status: int
    headers: Sequence[Header] = ()
    body: bytes | AsyncGenerator[bytes] | AsyncGenerator[Bytes] = b""

    async def send(self, send: Send, receive: Receive) -> None:
        """Errors: TimeoutError (the client takes a piece too slowly); the connection ends then.

        Of one that left, ``receive`` knows alone: what is sent to it is lost without a word.
        """
        headers = list(self.headers)
        sized = any(name == b"content-length" for name, _ in headers)  # of an answer to HEAD, for instance
        if isinstance(self.body, bytes) and self.status not in (204, 304) and not sized:
            headers.append((b"content-length", str(len(self.body)).encode()))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        if isinstance(self.body, bytes):
            await send({"type": "http.response.body", "body": self.body})
            return
        gone: asyncio.Task[None] | None = None
        has_begun = False
        try:
            async with aclosing(self.body) as pieces:
                async for piece in pieces:
                    if has_begun and gone is None:
                        gone = asyncio.create_task(_until_gone(receive))
                    elif gone is not None and gone.done():
                        return
                    async with asyncio.timeout(SEND_S):
                        await send({"type": "http.response.body", "body": piece, "more_body": True})
                    has_begun = True
        finally:
            if gone is not None:
                gone.cancel()
        await send({"type": "http.response.body", "body": b""})


NO_STORE: Header = (b"cache-control", b"no-store")
XML: Header = (b"content-type", b"application/xml; charset=utf-8")


def led_to(address: str) -> Answer:
    """Another page, for a person; the address itself is kept nowhere."""
    return Answer(303, ((b"location", address.encode()), NO_STORE))


def json_answer(status: int, value: object) -> Answer:
    return Answer(status, ((b"content-type", b"application/json"), NO_STORE), json.dumps(value).encode())


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


Handler = Callable[[Request], Awaitable[Answer]]
Enter = Callable[[Request, Who], None]
"""Counts a request as a person's, so that nobody has too many under way at once. Errors: BeffroiError."""


@dataclass
class Routes:
    """Handlers by the longest prefix of the path. ``is_open``: reached without a sign-in."""

    handlers: dict[str, tuple[Handler, bool]] = field(default_factory=dict)

    def add(self, prefix: str, handler: Handler, *, is_open: bool = False) -> None:
        self.handlers[prefix] = (handler, is_open)

    def find(self, path: str) -> tuple[Handler, bool] | None:
        """``path`` is the prefix itself or goes on behind it with a slash."""
        prefix = path.rstrip("/")
        while True:
            if prefix in self.handlers:
                return self.handlers[prefix]
            if not prefix:
                return None
            prefix = prefix.rpartition("/")[0]
