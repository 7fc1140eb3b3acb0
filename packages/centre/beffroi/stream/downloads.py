"""``GET /v1/files/SHA256``: bulk lists and large snapshots, from disk, compressed as they lie there.

Process: stream.
Input:   hostile: the digest only ever selects among what the caller's channels name now. A slow reader holds one
         piece in memory and one of a few places; it is cut when it takes nothing, takes longer than ``LIFE_S``, or
         asks for the same file again (a line that was cut is noticed there first), and goes on where it was cut.
Format:  application/zlib with its length; ``Range: bytes=N-`` resumes. Every other form of Range is ignored
         (RFC 9110, section 14.2).
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from beffroi_protocol.requests import NONCE_HEADER
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from beffroi.lib.errors import NotFound
from beffroi.stream.answers import TooMany
from beffroi.stream.hub import STALL_S

PIECE_BYTES = 64 * 1024
LIFE_S = 3600.0
AT_ONCE = 64
AT_ONCE_A_BOX = 3
"""A snapshot waits for neither a list nor a package."""
AT_ONCE_A_DOOR = 16
_RANGE = re.compile(r"bytes=([0-9]{1,15})-", re.ASCII)


class Downloads:
    """Who downloads at this moment, and the threads that read for them."""

    def __init__(self) -> None:
        self._open: set[_FileBody] = set()
        self._threads = ThreadPoolExecutor(2, "files")

    def answer(
        self,
        request: Request,
        path: Path,
        *,
        owner: str,
        at_most: int,
        alone: bool,
        gone: Callable[[], bool],
        nonce: str,
    ) -> Response:
        """Errors: NotFound, TooMany. ``alone``: the owner is one process, which has lost what it asks for again;
        ``gone``: asked before each piece; true for a box that was revoked."""
        for former in [one for one in self._open if one.place == (owner, path)] if alone else ():
            former.end()
        if sum(one.place[0] == owner for one in self._open) >= at_most or len(self._open) >= AT_ONCE:
            raise TooMany
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except OSError:
            raise NotFound("file") from None
        size = os.fstat(descriptor).st_size
        headers = {
            "Cache-Control": "no-store",
            "Accept-Ranges": "bytes",
            "X-Accel-Buffering": "no",
            NONCE_HEADER: nonce,
        }
        wanted = _RANGE.fullmatch(request.headers.get("range", ""))
        start = int(wanted[1]) if wanted else 0
        if wanted and start >= size:
            os.close(descriptor)
            return Response(None, 416, headers | {"Content-Range": f"bytes */{size}"})
        status = 206 if wanted else 200
        if wanted:
            headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
        headers["Content-Length"] = str(size - start)
        return _FileBody(self, descriptor, start, status, headers, place=(owner, path), gone=gone)

    def begin(self, body: _FileBody) -> None:
        self._open.add(body)

    def end(self, body: _FileBody) -> None:
        self._open.discard(body)

    async def read(self, descriptor: int, offset: int) -> bytes:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, os.pread, descriptor, PIECE_BYTES, offset)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


class _FileBody(Response):
    def __init__(
        self,
        downloads: Downloads,
        descriptor: int,
        start: int,
        status: int,
        headers: dict[str, str],
        *,
        place: tuple[str, Path],
        gone: Callable[[], bool],
    ) -> None:
        super().__init__(None, status, headers, "application/zlib")
        downloads.begin(self)
        self.place = place
        self._downloads = downloads
        self._descriptor = descriptor
        self._start = start
        self._gone = gone
        self._life = asyncio.timeout(LIFE_S)
        self._ended = False

    def end(self) -> None:
        """Leave the place at once, whatever the reader still has to take."""
        self._ended = True
        self._downloads.end(self)
        with suppress(RuntimeError):  # not begun, or over
            self._life.reschedule(asyncio.get_running_loop().time())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send(
                {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            )
            if scope["method"] != "HEAD":
                async with self._life:
                    await self._write(send)
            else:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except (TimeoutError, OSError):
            return  # cut: the length tells the reader, who resumes
        finally:
            self._downloads.end(self)
            os.close(self._descriptor)

    async def _write(self, send: Send) -> None:
        offset = self._start
        while (
            not self._ended
            and not self._gone()
            and (piece := await self._downloads.read(self._descriptor, offset))
        ):
            offset += len(piece)
            async with asyncio.timeout(STALL_S):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        async with asyncio.timeout(STALL_S):
            await send({"type": "http.response.body", "body": b"", "more_body": False})
