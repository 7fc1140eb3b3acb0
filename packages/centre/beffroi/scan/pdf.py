"""What a PDF does by itself, what it carries, and its text. Pure.

Rule:    a PDF is *active* when it starts a program (Launch, wherever it stands), or when a script that runs by itself
         (on opening, at a page) calls for more than fields: forms of the State compute in scripts, and pass; or when it
         opens a file of a share elsewhere (GoToR, GoToE), which then hears who is signed in.
Hostile: everything. pypdf is Python; what it raises is the caller's to catch, who then asks ``broken_is_active``.
Source:  ISO 32000-1, 12.6 (actions), 7.11.4 (embedded files).
"""

from __future__ import annotations

import io
import re
import signal
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from html import unescape
from typing import Any
from urllib.parse import urljoin

from PIL import Image
from pypdf import PdfReader
from pypdf.generic import DictionaryObject, StreamObject

from beffroi.scan import bodies, codes, drawn, filled, office, scripts
from beffroi.scan.bodies import Body

TEXT_CPU_S = 1.5
_MAX_PAGES, _FIRST_PAGES, _LAST_PAGES = 5000, 8, 2
_BY_THEMSELVES = ("/PO", "/PC", "/PV", "/PI")
"""Of a note: what happens when its page is opened, closed, seen or left. Others wait for a click or a key."""
_MAX_PAGE_BYTES = 2 * 1024 * 1024
_MAX_ACTIONS, _MAX_ATTACHMENTS, _MAX_SCRIPTS, _MAX_BOOKMARKS = 50, 500, 200, 5000
_OPENS = ("/GoToR", "/GoToE", "/Thread", "/ImportData")
"""Actions that open another file."""
_MAX_ATTACHED_BYTES = 64 * 1024 * 1024
_MAX_PICTURES, _MOST_PIXELS = 500, 20_000_000
"""Of a PDF; an A3 page at 300 dpi has 17 million pixels."""
_REACHES_OUT = re.compile(
    r"launchURL|submitForm|exportDataObject|importDataObject|openDoc|getURL|mailMsg|mailDoc|Collab\.|SOAP\.|Net\.HTTP"
    r"|eval\s*\(|unescape\s*\(|fromCharCode|util\.printf|media\.newPlayer|spell\.custom|trustedFunction|nLaunch",
    re.I,
)
"""What a script does that a form does not need: leave the document, run another program, hide what it does."""

_WEB = re.compile(r"https?://[^\s\"'<>()\\]+", re.IGNORECASE)
_BY_ITSELF = re.compile(
    r"""<event\b[^<>]{0,400}\bactivity\s*=\s*["'](?:initialize|(?:doc|layout|form)?ready|docclose|index\w*)["'][^<>]*>"""
    r"(.{0,20000}?)</event",
    re.I | re.S,
)
_FORM_REACHES_OUT = re.compile(rf"<submit\b|gotoURL|{_REACHES_OUT.pattern}", re.I)
_FORM_PLACES = re.compile(
    r"""(?:\btarget\s*=\s*|gotoURL\(\s*|launchURL\(\s*|getURL\(\s*)(?:["']|&quot;)(https?:[^"'<>\s]+)""", re.I
)
_MAX_PACKETS = 20
"""Of a form in XML (XFA 3.3): what its events do, and where it is sent."""

type Picture = Callable[[], bytes | Image.Image | None]
"""Reads it. Errors: as ``look``."""


@dataclass
class Inside:
    """``links``: web addresses that a click or a script opens, or that a form is sent to. ``pictures``: of the first
    and the last pages. ``has_more``: there are more embedded files than are looked at. ``is_whole``: False where pages
    were left out."""

    encrypted: bool = False
    active: bool = False
    embedded: list[tuple[str, bytes]] = field(default_factory=list)
    text: str = ""
    links: list[str] = field(default_factory=list)
    pictures: Iterator[Picture] = field(default_factory=lambda: iter(()))
    has_more: bool = False
    is_whole: bool = True


def look(body: Body, *, most_text: int) -> Inside:
    """``embedded`` is read as it is gone through. Errors: those of pypdf, and whatever else such bytes lead it to."""
    reader = PdfReader(bodies.stream(body), strict=False)
    if reader.is_encrypted and not reader.decrypt(""):
        return Inside(encrypted=True)
    found = Inside()
    base = _dictionary(reader.root_object.get("/URI")).get("/Base")
    for action, waits in _actions(reader):
        # A script behind a button waits for a click; a program that a link starts does, too, and is none of a
        # document's business.
        found.active |= action.get("/S") == "/Launch" or (not waits and _reaches_out(action))
        places = _places(action)
        found.active |= action.get("/S") in _OPENS and any(map(_is_share, places))
        found.links += [urljoin(_written(base), one) for one in places] if base else places
    form = _form(reader)
    found.active |= any(_FORM_REACHES_OUT.search(one) for one in _BY_ITSELF.findall(form))
    found.links += [unescape(one) for one in _FORM_PLACES.findall(form)]
    found.is_whole = len(reader.pages) <= _MAX_PAGES
    bytes_left = _MAX_ATTACHED_BYTES
    for number, (name, contents) in enumerate(reader.attachments.items()):
        found.embedded += [(_written(name), bytes(content)) for content in contents]
        bytes_left -= sum(map(len, contents))
        if bytes_left < 0 or number >= _MAX_ATTACHMENTS:
            found.has_more = True
            break
    found.text = _text(reader, most_text)
    found.pictures = _pictures(reader)
    return found


def _form(reader: PdfReader) -> str:
    """The form in XML (XFA), which Adobe's programs show in place of the pages."""
    packets = _resolved(_dictionary(reader.root_object.get("/AcroForm")).get("/XFA"))
    streams = packets if isinstance(packets, list) else [packets]
    parts = [
        one.get_data() for one in map(_resolved, streams[:_MAX_PACKETS]) if isinstance(one, StreamObject)
    ]
    return "".join(office.readable(one[:_MAX_PAGE_BYTES]).decode("utf-8", "replace") for one in parts)


def _actions(reader: PdfReader) -> Iterator[tuple[DictionaryObject, bool]]:
    """Every action, and whether it waits for a click."""
    root = reader.root_object
    for own in (
        _chain(root.get("/OpenAction")),
        (action for _, actions in _of_events(root) for action in actions),
        _named_scripts(_dictionary(_dictionary(root.get("/Names")).get("/JavaScript"))),
    ):
        yield from ((action, False) for action in own)
    yield from ((action, True) for action in _bookmarks(root))
    for number in range(min(len(reader.pages), _MAX_PAGES)):
        page = reader.pages[number]
        yield from ((action, False) for _, actions in _of_events(page) for action in actions)
        annotations = _resolved(page.get("/Annots"))
        for annotation in annotations if isinstance(annotations, list) else []:
            one = _dictionary(annotation)
            for event, actions in _of_events(one):
                yield from ((action, event not in _BY_THEMSELVES) for action in actions)
            yield from ((action, True) for action in _chain(one.get("/A")))


def _of_events(holder: DictionaryObject) -> Iterator[tuple[str, Iterator[DictionaryObject]]]:
    """(name of the event, its actions)."""
    for event, action in _dictionary(holder.get("/AA")).items():
        yield event, _chain(action)


def _named_scripts(tree: DictionaryObject) -> Iterator[DictionaryObject]:
    nodes = [tree]
    for _ in range(_MAX_SCRIPTS):
        if not nodes:
            return
        node = nodes.pop()
        names, kids = _resolved(node.get("/Names")), _resolved(node.get("/Kids"))
        if isinstance(names, list):
            for action in names[1::2]:
                yield from _chain(action)
        if isinstance(kids, list):
            nodes += [_dictionary(kid) for kid in kids]


def _bookmarks(root: DictionaryObject) -> Iterator[DictionaryObject]:
    waiting = [_dictionary(root.get("/Outlines")).get("/First")]
    for _ in range(_MAX_BOOKMARKS):
        if not waiting:
            return
        one = _dictionary(waiting.pop())
        yield from _chain(one.get("/A"))
        waiting += [one[key] for key in ("/First", "/Next") if key in one]


def _chain(action: Any) -> Iterator[DictionaryObject]:
    """An action and those that follow it."""
    waiting = [action]
    for _ in range(_MAX_ACTIONS):
        if not waiting:
            return
        one = _resolved(waiting.pop())
        if isinstance(one, list):
            waiting += one[:_MAX_ACTIONS]
        elif isinstance(one, DictionaryObject):
            yield one
            waiting.append(one.get("/Next"))


def _is_share(place: str) -> bool:
    return not _WEB.match(place) and bool(office.fetched(place))


def _places(action: DictionaryObject) -> list[str]:
    """What it opens, sends a form to, or names in a script."""
    if action.get("/S") == "/JavaScript":
        return _WEB.findall(scripts.written_out(_script(action)))
    if command := _dictionary(action.get("/Win")).get("/P"):
        return list(scripts.addresses(_written(command)))
    place = _resolved(action.get("/URI" if action.get("/S") == "/URI" else "/F"))
    if isinstance(place, DictionaryObject):  # a file specification
        place = _resolved(place.get("/UF") or place.get("/F"))
    link = _written(place) if place else ""
    # As Acrobat opens it.
    return [f"http://{link}" if link.lower().startswith("www.") else link] if link else []


def _written(link: Any) -> str:
    return link.decode("latin-1") if isinstance(link, bytes) else str(link)


def _script(action: DictionaryObject) -> str:
    script = _resolved(action.get("/JS"))
    return script.get_data().decode("latin-1") if isinstance(script, StreamObject) else str(script or "")


def _reaches_out(action: DictionaryObject) -> bool:
    return _REACHES_OUT.search(_script(action)) is not None


def _resolved(value: Any) -> Any:
    return value.get_object() if value is not None else None


def _dictionary(value: Any) -> DictionaryObject:
    found = _resolved(value)
    return found if isinstance(found, DictionaryObject) else DictionaryObject()


def words(data: bytes, *, most_text: int, cpu_s: float) -> str:
    """The text of all pages, as far as ``cpu_s`` of the processor reach. Errors: as ``look``."""
    reader = PdfReader(io.BytesIO(data), strict=False)
    if reader.is_encrypted and not reader.decrypt(""):
        return ""
    return _text_of(reader, range(len(reader.pages)), most_text, cpu_s)


def _foremost(reader: PdfReader) -> list[int]:
    """The first and the last pages."""
    count = len(reader.pages)
    return sorted({*range(min(count, _FIRST_PAGES)), *range(max(0, count - _LAST_PAGES), count)})


def _text(reader: PdfReader, most: int) -> str:
    """As long as it is quick: what is left out is not looked at for bank details."""
    return _text_of(reader, _foremost(reader), most, TEXT_CPU_S)


def _text_of(reader: PdfReader, pages: Iterable[int], most: int, cpu_s: float) -> str:
    pieces: list[str] = []
    left = most
    with _for_a_while(cpu_s):
        for number in pages:
            page = reader.pages[number]
            contents = page.get_contents()
            if contents is not None and len(contents.get_data()) <= _MAX_PAGE_BYTES:
                pieces.append(_quietly(page.extract_text))
                left -= len(pieces[-1])
            if left <= 0:
                break
    return "\n".join(pieces)[:most]


def _quietly(step: Callable[[], str]) -> str:
    """A page whose text cannot be had has none: pictures have none either."""
    try:
        return step()
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        OSError,
        TypeError,
        ValueError,
        NotImplementedError,
    ):
        return ""


def _pictures(reader: PdfReader) -> Iterator[Picture]:
    """Each once, and behind them what pages and forms draw without one. Inline ones are none."""
    pages = [reader.pages[number] for number in _foremost(reader)]
    waiting = [_dictionary(page.get("/Resources")) for page in reversed(pages)]
    drawings: list[Picture] = [partial(_drawn, page.get_contents) for page in pages]
    seen: set[int] = set()
    while waiting and len(seen) < _MAX_PICTURES:
        for one in map(_resolved, _dictionary(waiting.pop().get("/XObject")).values()):
            if not isinstance(one, StreamObject) or id(one) in seen:
                continue
            seen.add(id(one))
            if one.get("/Subtype") == "/Form":
                waiting.append(_dictionary(one.get("/Resources")))
                drawings.append(partial(_drawn, partial(_resolved, one)))
            elif one.get("/Subtype") == "/Image":
                yield partial(_picture, one)
    yield from drawings


def _drawn(content: Callable[[], StreamObject | None]) -> Image.Image | None:
    stream = content()
    data = stream.get_data() if stream is not None else b""
    return drawn.painted(filled.pieces(data)) if filled.may_draw(data) else None


def _picture(stream: StreamObject) -> bytes | Image.Image | None:
    """None for one that is not opened: no code fits into it, it is a plan, or a scan that takes seconds (JPEG 2000)."""
    filters = _resolved(stream.get("/Filter"))
    packed_by = filters[-1] if isinstance(filters, list) and filters else filters
    if packed_by == "/DCTDecode":
        return stream.get_data()  # a JPEG: it is opened at the scale that is needed
    width, height = _resolved(stream.get("/Width")), _resolved(stream.get("/Height"))
    if packed_by == "/JPXDecode" or min(width, height) < codes.FEWEST_EDGE or width * height > _MOST_PIXELS:
        return None
    picture = stream.decode_as_image({"compress_level": 0})
    return picture if isinstance(picture, Image.Image) else None


class _Enough(BaseException):
    """No error: pypdf catches those."""


@contextmanager
def _for_a_while(cpu_s: float) -> Iterator[None]:
    """Leave the block when it has used so much of the processor: a plan of a thousand lines is no reason to hold a
    mail. In the main thread of a process that has no other use for SIGVTALRM."""

    def enough(*_: object) -> None:
        raise _Enough

    before = signal.signal(signal.SIGVTALRM, enough)
    signal.setitimer(signal.ITIMER_VIRTUAL, cpu_s)
    try:
        yield
    except _Enough:
        pass
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


# -- what pypdf cannot read ----------------------------------------------------------------------------------

_STREAM = re.compile(rb"stream\r?\n")
_ESCAPED = re.compile(rb"#([0-9a-fA-F]{2})")
_MAX_STREAMS, _MAX_STREAM_BYTES = 300, 1024 * 1024


def broken_is_active(data: bytes) -> bool:
    """The same question to the bytes of a PDF that is broken: programs that show it may be more patient than pypdf."""
    pieces = [data]
    for match in list(_STREAM.finditer(data))[:_MAX_STREAMS]:
        try:
            packed = data[match.end() : match.end() + _MAX_STREAM_BYTES]
            pieces.append(zlib.decompressobj().decompress(packed, _MAX_STREAM_BYTES))
        except zlib.error:
            continue
    text = _ESCAPED.sub(lambda match: bytes([int(match[1], 16)]), b"\n".join(pieces)).decode("latin-1")
    return "/Launch" in text or ("/JS" in text and _REACHES_OUT.search(text) is not None)
