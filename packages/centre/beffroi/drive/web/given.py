"""What the portal's pages fetch: a file, an earlier content of it, what it was in a folder's past, a preview, or
several as one ZIP.

Process: drive, under the portal's grant (``granted``).
Hostile: numbers and forms; the names of files, which travel in one header, encoded; their contents, which a browser is
         never let take for a page of ours: a type of a short list or none, ``nosniff``, ``sandbox``.
Fails:   closed. A file that cannot be read any more cuts the answer short; a browser says that it failed.
"""

from __future__ import annotations

import asyncio
import io
import itertools
import re
import time
import zipfile
from collections.abc import AsyncGenerator, Buffer, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple
from urllib.parse import quote

from beffroi.drive import past
from beffroi.drive.store import look, names, versions
from beffroi.drive.store.model import AbsentNode, Node
from beffroi.drive.store.sealing import Bytes
from beffroi.drive.store.writing import Reading
from beffroi.drive.views import View
from beffroi.drive.web import granted
from beffroi.drive.web.bodies import Bodies
from beffroi.drive.web.dav import conditions
from beffroi.drive.web.messages import Answer, Enter, Header, Request, led_to
from beffroi.drive.web.visiting import Visits, pages
from beffroi.lib import digits
from beffroi.lib.errors import BeffroiError, Invalid

TEXT_BYTES = 200_000
FORM_BYTES = 128 * 1024
MOST_ZIPPED = 20_000
_ZIP_S = (315532800, 4354732800)
"""The times that ZIP knows: 1980 to 2107."""
_LATER_PART = re.compile(r"bytes=([1-9]\d{0,17})-(\d{0,18})", re.ASCII)
_FOLDER_MODE = 0o40755 << 16 | 0x10
_IMAGES = (
    (b"\x89PNG\r\n\x1a\n", b"image/png"),
    (b"\xff\xd8\xff", b"image/jpeg"),
    (b"GIF87a", b"image/gif"),
    (b"GIF89a", b"image/gif"),
)
HARMLESS: tuple[Header, ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"sandbox; default-src 'none'; frame-ancestors 'self'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"private, no-store"),
)

_INLINE = (*HARMLESS, (b"content-disposition", b"inline"))


type Lend = Callable[[int, int], bytes | AsyncGenerator[Bytes]]
"""Bytes from the first number to before the second: ``Bodies.lend`` of one content."""


class NothingTicked(Invalid):
    """Nothing was chosen."""

    code = "drive.nothing_ticked"


class TooManyFiles(BeffroiError):
    """A ZIP holds at most {} files; take fewer folders."""

    code = "drive.too_many_files"
    http_status = 413


class Body(NamedTuple):
    """What is given out: a file's present content or an earlier one."""

    name: str
    size_bytes: int
    manifest: bytes
    sha256: str

    @classmethod
    def of(cls, node: Node) -> Body:
        """Errors: AbsentNode (a folder)."""
        if node.is_folder:
            raise AbsentNode("file")
        return cls(node.name, node.size_bytes, node.manifest, node.sha256)


@dataclass(frozen=True)
class Given:
    visits: Visits
    key: bytes
    enter: Enter

    async def __call__(self, request: Request) -> Answer:
        """Errors: GrantRefused, ForeignOrigin, AbsentNode, Invalid, TooManyFiles."""
        who = granted.who(self.key, request, granted.OUT_PATH)
        self.enter(request, who)
        if request.method == "POST":
            granted.require_own_origin(request)
        address = request.path.removeprefix(granted.OUT_PATH)
        view, bodies, steps = await asyncio.to_thread(
            self.visits.enter, who, address, "read", goes_on=_goes_on(request)
        )
        if steps == ["zip"] and request.method == "POST":
            folder = ""
            try:
                fields = await request.form(FORM_BYTES, MOST_ZIPPED)
                granted.require_collectivite(who, fields.get("collectivite", [""])[0])
                folder = fields.get("dossier", [""])[0]
                return await asyncio.to_thread(_zip, view, bodies, _numbers(fields.get("n", [])))
            except BeffroiError as error:
                await request.drain()
                return back(folder, error, pages(view))
        if request.method not in ("GET", "HEAD"):
            raise AbsentNode("file")
        match steps:
            case [node]:
                return download(request, bodies, body_of(view, number(node)))
            case [node, "apercu"] if request.method == "GET":
                return await _preview(bodies, body_of(view, number(node)))
            case [node, etag]:
                return download(request, bodies, body_of(view, number(node), number(etag)))
            case ["avant", folder, at_s, node]:
                body = await asyncio.to_thread(_past, view, number(folder), number(at_s), number(node))
                return download(request, bodies, body)
            case [node, etag, "apercu"] if request.method == "GET":
                return await _preview(bodies, body_of(view, number(node), number(etag)))
        raise AbsentNode("file")


def _goes_on(request: Request) -> bool:
    """Whether a part of a file is asked for that is not the beginning, and nothing else can be answered: a ZIP and a
    preview are given whole, and so is a file of which several parts are asked for, or one of a content that it may not
    have any more."""
    if request.method == "POST" or request.path.endswith("/apercu") or b"if-range" in request.headers:
        return False
    asked = _LATER_PART.fullmatch(request.header(b"range"))
    return asked is not None and (not asked[2] or int(asked[1]) <= int(asked[2]))


def download(request: Request, bodies: Bodies, body: Body) -> Answer:
    """The bytes under their name, whole or a range; never shown by the browser. Errors: those of ``Bodies.lend``."""
    headers = [
        *HARMLESS,
        (b"content-type", b"application/octet-stream"),
        (b"content-disposition", attachment(body.name)),
        (b"accept-ranges", b"bytes"),
    ]
    tag = f'"{body.sha256[:32]}"' if body.sha256 else ""
    if tag:
        headers.append((b"etag", tag.encode()))
    goes_on = request.header(b"if-range") in ("", tag)  # else another content has this name by now
    asked = request.header(b"range") if goes_on else ""
    return ranged(request, asked, headers, body.size_bytes, partial(bodies.lend, body))


def ranged(request: Request, asked: str, headers: list[Header], size_bytes: int, lend: Lend) -> Answer:
    """All of it, or the range that is ``asked`` for. Errors: those of ``lend``."""
    try:
        wanted = conditions.parse_range(asked, size_bytes)
    except conditions.RangeOutside:
        return Answer(416, [*headers, (b"content-range", f"bytes */{size_bytes}".encode())])
    status, start, end = 200, 0, size_bytes
    if wanted is not None:
        status, start, end = 206, wanted.start, wanted.end
        headers.append((b"content-range", f"bytes {start}-{end - 1}/{size_bytes}".encode()))
    headers.append((b"content-length", str(end - start).encode()))
    pieces = lend(start, end)  # what is held is refused to HEAD, too
    return Answer(status, headers, b"" if request.method == "HEAD" else pieces)


async def nothing() -> AsyncGenerator[bytes]:
    """To HEAD of a ZIP: an empty body would say that nothing would come, and nobody knows how long it gets."""
    none: tuple[bytes, ...] = ()
    for piece in none:
        yield piece


def attachment(name: str) -> bytes:
    """The header Content-Disposition for any name (RFC 6266, RFC 8187)."""
    return f"attachment; filename*=UTF-8''{quote(names.in_order(name), safe='')}".encode()


async def image(bodies: Bodies, body: Body) -> Answer:
    """As what its first bytes say it is. Errors: AbsentNode (no image)."""
    kind = _image_kind(await _beginning(bodies, body, 16))
    if not kind:
        raise AbsentNode("file")
    return _image(bodies, body, kind)


def _image(bodies: Bodies, body: Body, kind: bytes) -> Answer:
    headers = [
        *_INLINE,
        (b"content-type", kind),
        (b"content-length", str(body.size_bytes).encode()),
    ]
    return Answer(200, headers, bodies.read(body, 0, body.size_bytes))


def _image_kind(first: bytes) -> bytes:
    if first[:4] == b"RIFF" and first[8:12] == b"WEBP":
        return b"image/webp"
    return next((kind for mark, kind in _IMAGES if first.startswith(mark)), b"")


async def _beginning(bodies: Bodies, body: Body, most_bytes: int) -> bytes:
    pieces = bodies.read(body, 0, min(body.size_bytes, most_bytes))
    return b"".join([piece async for piece in pieces])


async def _preview(bodies: Bodies, body: Body) -> Answer:
    """An image as what its first bytes say it is; of anything else the first bytes, as plain text."""
    first = await _beginning(bodies, body, TEXT_BYTES)
    if kind := _image_kind(first):
        return _image(bodies, body, kind)
    try:
        text = first.decode()
    except UnicodeDecodeError as error:
        # A sign that is cut at the end is no sign of another code; what else is no UTF-8 is read as Windows wrote it.
        cut = error.start >= len(first) - 3 and body.size_bytes > len(first)
        text = first[: error.start].decode() if cut else first.decode("cp1252", "replace")
    return Answer(200, [*_INLINE, (b"content-type", b"text/plain; charset=utf-8")], text.encode())


def body_of(view: View, node_id: int, etag: int | None = None) -> Body:
    """``etag``: of an earlier content, None for the present one. Errors: AbsentNode (also for a folder)."""
    with view.database.reading() as reading:
        present = Body.of(view.at(reading, node_id).node)
        if etag is None:
            return present
        version = versions.find(reading, node_id, etag)
        return Body(present.name, version.size_bytes, version.manifest, version.sha256)


def _past(view: View, folder_id: int, at_s: int, node_id: int) -> Body:
    """Errors: those of ``past.file``."""
    then, kept = past.file(view, folder_id, at_s, node_id)
    return Body(then.name, kept.size_bytes, kept.manifest, kept.sha256)


# -- several as one --------------------------------------------------------------------------------------------


def _zip(view: View, bodies: Bodies, node_ids: Sequence[int]) -> Answer:
    with view.database.reading() as reading:
        chosen = [view.at(reading, one).node for one in node_ids]
        found = (entry for one in chosen for entry in below(reading, one))
        entries = list(itertools.islice(found, MOST_ZIPPED + 1))
    return archive(bodies, entries, chosen[0].name if len(chosen) == 1 and chosen[0].parent else "Coffre")


def archive(bodies: Bodies, entries: Sequence[tuple[str, Node]], name: str) -> Answer:
    """A ZIP of what ``below`` found. ``name``: without its ending. Errors: TooManyFiles, Frozen."""
    if len(entries) > MOST_ZIPPED:
        raise TooManyFiles(MOST_ZIPPED)
    for _, one in entries:
        bodies.require(one.sha256)
    headers = [
        *HARMLESS,
        (b"content-type", b"application/zip"),
        (b"content-disposition", attachment(f"{name}.zip")),
    ]
    return Answer(200, headers, _packed(bodies, entries))


def below(reading: Reading, chosen: Node) -> Iterator[tuple[str, Node]]:
    """(path in the archive, node) of what is chosen and of all below it; folders end with a slash."""
    if not chosen.is_folder:
        yield chosen.name, chosen
        return
    paths = {chosen.id: "" if not chosen.parent else chosen.name + "/"}
    if chosen.parent:
        yield paths[chosen.id], chosen
    for one in look.below(reading, chosen.id):
        path = paths[one.parent] + one.name
        if one.is_folder:
            path = paths[one.id] = path + "/"
        yield path, one


class _Outlet(io.RawIOBase):
    """Where an archive is written that nobody keeps: what came since the last ``take``."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Buffer, /) -> int:
        piece = bytes(data)
        self._pieces.append(piece)
        return len(piece)

    def take(self) -> bytes:
        out = b"".join(self._pieces)
        self._pieces.clear()
        return out


async def _packed(bodies: Bodies, entries: Sequence[tuple[str, Node]]) -> AsyncGenerator[bytes]:
    outlet = _Outlet()
    with zipfile.ZipFile(outlet, "w", zipfile.ZIP_STORED) as archive:
        for path, node in entries:
            mtime_s = min(max(node.mtime_s, _ZIP_S[0]), _ZIP_S[1])
            info = zipfile.ZipInfo(path, time.localtime(mtime_s)[:6])
            if node.is_folder:
                info.external_attr = _FOLDER_MODE
                archive.writestr(info, b"")
            else:
                with archive.open(info, "w", force_zip64=True) as file:
                    async for piece in bodies.read(node, 0, node.size_bytes):
                        file.write(piece)
                        yield outlet.take()
            yield outlet.take()
    yield outlet.take()


def back(folder: str, error: BeffroiError, pages: str = "/coffre/") -> Answer:
    """For a person who pressed a button: the folder's page, which says why it was not done."""
    page = f"{pages}{folder}/" if digits.number(folder) is not None else pages
    return led_to(f"{page}?refus={error.code}")


def _numbers(texts: Sequence[str]) -> list[int]:
    """Each a number or several with commas. Errors: NothingTicked, AbsentNode."""
    found = [number(one) for several in texts for one in several.split(",") if one]
    if not found:
        raise NothingTicked("n")
    return list(dict.fromkeys(found))


def number(text: str) -> int:
    """Of a file or of a content, in an address or a form. Errors: AbsentNode."""
    found = digits.number(text)
    if found is None:
        raise AbsentNode("file")
    return found
