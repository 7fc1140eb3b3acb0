"""The text of a document in RTF, where it leads, and the objects in it. Pure: signs are read from the first to the
last, nothing is run or opened.

Hostile: everything. One pass, MOST_DEPTH groups deep; what is built otherwise gives less text.
Source:  Rich Text Format 1.9.1: groups, destinations that readers may ignore, \\ansicpg, \\uc and \\u; MS-OXRTFCP 2.2
         (packed), MS-OXRTFEX 2.1 (HTML in it).
"""

from __future__ import annotations

import codecs
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice

from beffroi.scan import letter, office, older, pages

MOST_DEPTH = 1000
_TOKEN = re.compile(
    rb"\\(?P<word>[a-zA-Z]{1,32})(?P<number>-?\d{1,9})? ?|\\'(?P<byte>[0-9a-fA-F]{2})|\\(?P<sign>[^a-zA-Z'])"
    rb"|(?P<brace>[{}])|(?P<text>[^\\{}\r\n]+)|[\r\n]+|\\"
)
_NOT_TEXT = frozenset(
    b"fonttbl colortbl stylesheet info pict objdata themedata colorschememapping datastore filetbl listtable"
    b" listoverridetable revtbl rsidtbl xmlnstbl latentstyles fldinst generator nonesttables".split()
)
"""Destinations whose content nobody reads in the document."""
_BREAKS = frozenset(b"par line row cell nestcell nestrow sect page column tab footnote".split())
_SIGNS = {
    b"emdash": "—", b"endash": "–", b"bullet": "•", b"lquote": "‘", b"rquote": "’", b"ldblquote": "“",
    b"rdblquote": "”", b"emspace": " ", b"enspace": " ", b"qmspace": " ",
}  # fmt: skip
_SYMBOLS = {
    b"~": "\u00a0",
    b"_": "-",
    b"{": "{",
    b"}": "}",
    b"\\": "\\",
    b"\r": "\n",
    b"\n": "\n",
    b"\t": "\n",
}
_HIGH, _LOW = range(0xD800, 0xDC00), range(0xDC00, 0xE000)


@dataclass(frozen=True)
class _Group:
    """``fallback``: how many signs stand behind each \\u for readers that do not know it."""

    is_text: bool = True
    is_deleted: bool = False
    fallback: int = 1


_LINKS = re.compile(
    rb'(?:HYPERLINK|INCLUDE(?:TEXT|PICTURE)|IMPORT)\b[^"{}\r\n]{0,40}"([^"{}\r\n]{1,12288})', re.I
)
_TEMPLATE = re.compile(rb"\\template\s*([^{}]{1,12288})", re.I)
_MOST_PLACE, _MOST_FIELDS, _MOST_FIELD_BYTES = 2048, 5000, 512 * 1024
_OBJECTS = re.compile(rb"\\objdata\b ?((?:[0-9a-fA-F\s]++|\{[^{}]{0,80}\}|\\[a-z]{1,32}-?\d{0,9} ?)+)")
_NO_HEX = re.compile(rb"\{[^{}]*\}|\\[a-z]+-?\d* ?|\s+")
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_MOST_OBJECTS = 50
_MOST_UNPACKED_BYTES = 2 * 1024 * 1024
_RING_BYTES, _PACKED, _STORED, _PACKED_AT, _CONTENT_AT = 4096, b"LZFu", b"MELA", 8, 16
_BEGIN = (
    b"{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript \\fdecor "
    b"MS Sans SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par "
    b"\\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx"
)
"""What every packed RTF may repeat."""


def links(data: bytes) -> list[str]:
    """Of its fields, also such as are split over groups, and its template."""
    told = [_written(one) for one in dict.fromkeys(_LINKS.findall(data))]
    split = map(older.FIELD_LINKS.findall, _fields(data))
    return [*told, *chain.from_iterable(split), *templates(data)]


def _fields(data: bytes) -> Iterator[str]:
    """What they say, whatever stands between its letters."""
    left = _MOST_FIELD_BYTES
    for begun in data.split(b"\\fldinst", _MOST_FIELDS)[1:]:
        field = begun[: 2 * _MOST_PLACE].partition(b"\\fldrslt")[0]
        left -= len(field)
        if left < 0:
            return
        yield _written(field)


def templates(data: bytes) -> list[str]:
    """What it fetches by itself when it is opened."""
    return [_written(one) for one in dict.fromkeys(_TEMPLATE.findall(data))]


def packed_links(data: bytes) -> Iterator[str]:
    """Of the RTF that a mail of Outlook is written in, its text and the HTML that it was made of included. Errors: as
    ``unpacked``."""
    plain = unpacked(data)
    yield from links(plain)
    said = text(plain, _MOST_UNPACKED_BYTES, with_tags=True)
    yield from pages.links(said)
    yield from letter.WEB.findall(said)


def unpacked(data: bytes) -> bytes:
    """RTF as mails of Outlook hold it, as far as it can be read; b"" where it is none. Errors: ValueError where it has
    more than 2 MiB."""
    if data[_PACKED_AT : _PACKED_AT + 4] == _STORED:
        out = bytearray(data[_CONTENT_AT : _CONTENT_AT + _MOST_UNPACKED_BYTES + 1])
    else:
        is_packed = data[_PACKED_AT : _PACKED_AT + 4] == _PACKED
        out = _run_out(data) if is_packed else bytearray()
    if len(out) > _MOST_UNPACKED_BYTES:
        raise ValueError("too long")
    return bytes(out)


def _run_out(data: bytes) -> bytearray:
    """Eight signs, each as it is or as (place in the ring, length), behind a byte that says which."""
    out, at = bytearray(_BEGIN), _CONTENT_AT
    while at < len(data) and len(out) <= _MOST_UNPACKED_BYTES + len(_BEGIN):
        kinds, at = data[at], at + 1
        for bit in range(8):
            if not kinds >> bit & 1:
                out += data[at : at + 1]
                at += 1
                continue
            word, at = int.from_bytes(data[at : at + 2], "big"), at + 2
            back, length = (len(out) - (word >> 4)) % _RING_BYTES, (word & 15) + 2
            if not back or back > len(out) or at > len(data):
                return out[len(_BEGIN) :]
            piece = out[-back:][:length]
            out += (piece * length)[:length]  # a piece may repeat itself
    return out[len(_BEGIN) :]


def _written(place: bytes) -> str:
    """Its signs may be spelt by numbers."""
    return text(place, _MOST_PLACE).strip()


def embedded(data: bytes) -> Iterator[tuple[str, bytes]]:
    """(name or "", content) of the objects in it: OLE files, and packages as Windows writes them."""
    for found in islice(_OBJECTS.finditer(data), _MOST_OBJECTS):
        plain = _NO_HEX.sub(b"", found[1])
        content = bytes.fromhex(plain[: len(plain) // 2 * 2].decode())
        if (at := content.find(_OLE)) >= 0:
            yield "", content[at:]
        elif (at := content.find(b"Package\0")) >= 0:
            yield from _packaged(content[at + len(b"Package\0") :])


def _packaged(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Of topic, item and length of an object (MS-OLEDS 2.2.4, 2.2.5) to what is in it."""
    try:
        topic = int.from_bytes(data[:4], "little")
        item = int.from_bytes(data[4 + topic : 8 + topic], "little")
        yield office.native(data[8 + topic + item :])
    except (IndexError, ValueError, struct.error):
        return  # the rules saw it


def text(data: bytes, most: int, *, with_tags: bool = False) -> str:
    """At most so many characters. ``with_tags``: with those of the HTML that it was made of."""
    read = _Reader(most, with_tags=with_tags)
    at = 0
    while at < len(data) and read.left > 0 and (found := _TOKEN.match(data, at)):
        at = found.end()
        if found["word"] == b"bin":  # so many bytes that are none of RTF
            at += max(0, int(found["number"] or 0))
        else:
            read.take(found)
    return read.said()


class _Reader:
    def __init__(self, most: int, *, with_tags: bool) -> None:
        self.left = most
        self._with_tags = with_tags
        self._pieces: list[str] = []
        self._bytes = bytearray()
        self._codec = "cp1252"
        self._group, self._above = _Group(), list[_Group]()
        self._skip = self._high = 0

    def take(self, found: re.Match[bytes]) -> None:
        if brace := found["brace"]:
            self._enter() if brace == b"{" else self._leave()
        elif word := found["word"]:
            self._word(word.lower(), int(found["number"]) if found["number"] else None)
        elif byte := found["byte"]:
            self._plain(bytes.fromhex(byte.decode()))
        elif sign := found["sign"]:
            if sign == b"*":
                self._group = replace(self._group, is_text=False)
            elif sign in _SYMBOLS:
                self._say(_SYMBOLS[sign])
        elif plain := found["text"]:
            self._plain(plain)

    def said(self) -> str:
        self._flush()
        return "".join(self._pieces)

    def _enter(self) -> None:
        self._skip = 0
        if len(self._above) < MOST_DEPTH:
            self._above.append(self._group)

    def _leave(self) -> None:
        self._skip = 0
        if self._above:
            self._group = self._above.pop()

    def _word(self, word: bytes, number: int | None) -> None:
        if word == b"u" and number is not None:
            self._unit(number % 0x10000)
            self._skip = self._group.fallback
        elif word == b"uc" and number is not None:
            self._group = replace(self._group, fallback=min(max(number, 0), 8))
        elif word == b"ansicpg" and number is not None:
            self._flush()
            self._codec = _codec(number)
        elif word == b"deleted":
            self._group = replace(self._group, is_deleted=number != 0)
        elif word in _NOT_TEXT:
            self._group = replace(self._group, is_text=False)
        elif word == b"htmltag" and self._with_tags:
            self._group = replace(self._group, is_text=True)
        elif word in _BREAKS:
            self._say("\n")
        elif word in _SIGNS:
            self._say(_SIGNS[word])

    def _unit(self, code: int) -> None:
        """A unit of UTF-16."""
        high, self._high = self._high, 0
        if code in _HIGH:
            self._high = code
        elif code in _LOW and high:
            self._say(chr(0x10000 + ((high - 0xD800) << 10) + (code - 0xDC00)))
        elif code not in _LOW:
            self._say(chr(code))

    def _plain(self, data: bytes) -> None:
        skipped = min(self._skip, len(data))
        self._skip -= skipped
        if self._group.is_text and not self._group.is_deleted and skipped < len(data):
            self._bytes += data[skipped:]
            self.left -= len(data) - skipped

    def _say(self, said: str) -> None:
        if self._group.is_text and not self._group.is_deleted:
            self._flush()
            self._pieces.append(said)
            self.left -= len(said)

    def _flush(self) -> None:
        if self._bytes:
            self._pieces.append(self._bytes.decode(self._codec, "replace"))
            self._bytes.clear()


def _codec(number: int) -> str:
    try:
        codecs.lookup(f"cp{number}")
    except LookupError:
        return "cp1252"
    return f"cp{number}"
