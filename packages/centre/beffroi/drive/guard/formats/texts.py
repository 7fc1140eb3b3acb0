"""Text: UTF-8, UTF-16 with its mark or without, or one byte a character (Latin-1, CP1252, CP850); CSV, XML, HTML, RTF,
DXF too.

Looked at: the whole file as far as the reader goes, else both ends and SAMPLES places between them.
Rule:      a text has next to no control characters; of encrypted bytes one in ten is one, however few of them there are
           together. What is left of a text in base64 or hexadecimal has no spaces: it is "armour", another kind
           (``armour``).
"""

from __future__ import annotations

from typing import Literal

from beffroi.drive.guard.formats.values import SOUND, Finding, broken, torn
from beffroi.drive.guard.reading import Reader, spread

SAMPLES = 24
_SAMPLE_BYTES = 16 * 1024
_CONTROLS = bytes(byte for byte in range(32) if byte not in b"\t\n\r\f\b\x0e\x0f\x1a\x1b") + b"\x7f"
_ARMOUR = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=_-\r\n"
type Wide = Literal["utf-16-le", "utf-16-be"]
_MARKS: dict[bytes, Wide] = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
_TOLD_BYTES = 512
_ARMOUR_LEAST_BYTES = 512
_HEADER_BYTES = 64


def _samples(reader: Reader) -> list[tuple[int, bytes]]:
    if reader.is_whole:
        return [(0, reader.head(reader.size_bytes))]
    return [
        (number * _SAMPLE_BYTES, reader.at(number * _SAMPLE_BYTES, _SAMPLE_BYTES))
        for number in spread(reader.size_bytes // _SAMPLE_BYTES, SAMPLES)
    ]


def _controls(data: bytes) -> int:
    return len(data) - len(data.translate(None, _CONTROLS))


def _is_wrong(data: bytes) -> bool:
    """A control character in 400 bytes, two at least: printers' files and old programs have one here and there."""
    count = _controls(data)
    return count >= 2 and count * 400 > len(data)


def check(reader: Reader) -> Finding:
    """Errors: reading.Spent."""
    mark = wide(reader.head(_TOLD_BYTES))
    for _, data in _samples(reader):
        reader.step()
        if mark:
            if _is_wrong_utf16(data, mark):
                return broken("characters")
        elif _is_wrong(data) or _is_mixed(data):
            return torn("blank") if data.count(0) * 2 > len(data) else broken("characters")
    return SOUND


def _is_wrong_utf16(data: bytes, mark: Wide) -> bool:
    """Lone surrogates, or characters of private use and controls, as random bytes have them."""
    text = data[: len(data) & ~1].decode(mark, "replace")
    odd = sum(
        1
        for sign in text
        if sign == "�" or "\ue000" <= sign <= "\uf8ff" or (sign < " " and sign not in "\t\n\r\f")
    )
    return odd >= 2 and odd * 100 > len(text)


def _is_mixed(data: bytes) -> bool:
    """Mostly valid UTF-8 or ASCII with places that are not: no writer mixes the two, and few bytes are enough to
    tell."""
    pieces = [data[start : start + 1024] for start in range(0, len(data), 1024)]
    wrong = sum(1 for piece in pieces if _controls(piece) >= 12)
    return wrong > 0


def wide(head: bytes) -> Wide | None:
    """The byte order of UTF-16: by its mark, or, where a program wrote none, by the zeros of Western letters."""
    if mark := _MARKS.get(head[:2]):
        return mark
    first, second = head[:_TOLD_BYTES:2], head[1:_TOLD_BYTES:2]
    if len(second) < 4:
        return None
    if not first.count(0) and second.count(0) * 10 >= len(second) * 9:
        return "utf-16-le"
    return "utf-16-be" if not second.count(0) and first.count(0) * 10 >= len(first) * 9 else None


def narrow(data: bytes, mark: Wide | None) -> bytes:
    """UTF-16 as one byte a letter, as far as it is of such; all else as it is."""
    if mark is None:
        return data
    return data[: len(data) & ~1].decode(mark, "replace").lstrip("\ufeff").encode("latin-1", "replace")


def is_text(head: bytes) -> bool:
    """Whether a file that begins like this is a text."""
    if not head:
        return False
    if mark := wide(head):
        return not _is_wrong_utf16(head, mark)
    return not _is_wrong(head)


def is_plain(head: bytes) -> bool:
    """Whether it is a text although it may begin with letters that are the magic of another kind: what follows those
    in such a kind are lengths and numbers, which are control characters."""
    return not _controls(head[:_HEADER_BYTES]) and is_text(head)


def is_armour(head: bytes) -> bool:
    """Base64 or hexadecimal and nothing else."""
    head = narrow(head, wide(head))
    return len(head) >= _ARMOUR_LEAST_BYTES and not head.translate(None, _ARMOUR)
