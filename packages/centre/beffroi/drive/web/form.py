"""A form with one file (multipart/form-data, RFC 7578), read as a stream: the file is never held whole.

Hostile: everything. Fields come before the file; each is short. Fails: closed (FormBroken): half a file is none.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from beffroi.drive.web.messages import ClientGone, Request
from beffroi.lib.errors import BeffroiError

MAX_HEAD_BYTES = 8 * 1024
MAX_FIELDS = 10
_BESIDE_BYTES = 64 * 1024
"""Of a form beside its file, at most."""
_BOUNDARY = re.compile(
    r'multipart/form-data\s*;\s*boundary="?([0-9A-Za-z\'()+_,./:=?-]{1,70})"?\s*', re.ASCII | re.I
)
_NAME = re.compile(r'[; ]name="([^"\r\n]{0,100})"')
_FILE = re.compile(r'[; ]filename="([^\r\n]*)"\s*(?:;|$)')


class FormBroken(BeffroiError):
    """This form holds no file, or ends before it does; send it again."""

    code = "drive.form_broken"
    http_status = 400


@dataclass
class Form:
    """``name``: of the file, as the browser says it. ``pieces``: its bytes; to be read to the end."""

    name: str
    pieces: AsyncIterator[bytes]
    fields: dict[str, str] = field(default_factory=dict)


def least_bytes(request: Request) -> int:
    """Of the file, by the length of the form; 0 where that is not said. Errors: Invalid."""
    return max(0, (request.count(b"content-length") or 0) - _BESIDE_BYTES)


async def read(request: Request) -> Form:
    """Fields and the file that follows them. Errors: FormBroken; ``pieces``: FormBroken, ClientGone."""
    found = _BOUNDARY.fullmatch(request.header(b"content-type"))
    if found is None:
        raise FormBroken
    stream = _Stream(request.chunks(), b"\r\n--" + found[1].encode())
    fields: dict[str, str] = {}
    await stream.until(stream.boundary[2:])  # what stands before the first part
    for _ in range(MAX_FIELDS):
        head = (await stream.until(b"\r\n\r\n")).decode("utf-8", "replace")
        name, file = _NAME.search(head), _FILE.search(head.partition("\r\nContent-Type")[0])
        if name is None:
            raise FormBroken
        if file is not None:
            text = file[1].replace("%22", '"').replace("%0D", " ").replace("%0A", " ")
            if not text:
                raise FormBroken
            return Form(re.split(r"[/\\]", text)[-1], stream.rest(), fields)
        fields[name[1]] = (await stream.until(stream.boundary)).decode("utf-8", "replace")
    raise FormBroken


class _Stream:
    def __init__(self, chunks: AsyncIterator[bytes], boundary: bytes) -> None:
        self._chunks, self.boundary = chunks, boundary
        self._held = b""

    async def _more(self) -> bool:
        async for piece in self._chunks:
            self._held += piece
            return True
        return False

    async def until(self, mark: bytes) -> bytes:
        """The bytes before a mark, which goes too. Errors: FormBroken (it does not come soon)."""
        while (at := self._held.find(mark)) < 0:
            if len(self._held) > MAX_HEAD_BYTES or not await self._more():
                raise FormBroken
        out, self._held = self._held[:at], self._held[at + len(mark) :]
        return out

    async def rest(self) -> AsyncIterator[bytes]:
        """The bytes before the next boundary."""
        while (at := self._held.find(self.boundary)) < 0:
            keep = len(self.boundary) - 1  # a boundary may be cut in two
            if len(self._held) > keep:
                out, self._held = self._held[:-keep], self._held[-keep:]
                yield out
            if not await self._more():
                raise FormBroken
        yield self._held[:at]
        self._held = b""
        try:
            async for _ in self._chunks:
                pass  # what follows the file is read and thrown away, so that the answer is heard
        except ClientGone:
            raise FormBroken from None
