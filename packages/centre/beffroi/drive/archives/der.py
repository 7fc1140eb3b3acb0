"""As much of ASN.1 in DER as a time stamp takes: elements one in another, read strictly, and a few written. Pure.

Input:   hostile. Lengths must be definite, the shortest, and within what holds them; tags have one byte.
Source:  ITU-T X.690 sections 8 and 10.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

BOOLEAN, INTEGER, OCTETS, NULL, OBJECT, TIME, SEQUENCE, SET = 0x01, 0x02, 0x04, 0x05, 0x06, 0x18, 0x30, 0x31


class DerInvalid(Exception):
    """Not DER, or not what was expected there."""


@dataclass(frozen=True)
class Element:
    """``raw``: with its tag and length; ``content``: without."""

    tag: int
    content: bytes
    raw: bytes

    def inner(self, tag: int) -> list[Element]:
        """The elements in this one, which has ``tag``. Errors: DerInvalid."""
        return elements(self.of(tag))

    def of(self, tag: int) -> bytes:
        """Errors: DerInvalid for another tag."""
        if self.tag != tag:
            raise DerInvalid(f"tag {self.tag} for {tag}")
        return self.content

    @property
    def number(self) -> int:
        return int.from_bytes(self.of(INTEGER), signed=True)

    @property
    def object(self) -> str:
        """Dotted. Errors: DerInvalid, also for one that is cut."""
        content, numbers = self.of(OBJECT), [0]
        if not content or content[-1] & 0x80:
            raise DerInvalid("object")
        for byte in content:
            numbers[-1] = numbers[-1] << 7 | byte & 0x7F
            if not byte & 0x80:
                numbers.append(0)
        first = min(numbers[0] // 40, 2)
        return ".".join(map(str, (first, numbers[0] - 40 * first, *numbers[1:-1])))


def elements(data: bytes) -> list[Element]:
    """All elements of ``data``, one after another. Errors: DerInvalid."""
    found, at = [], 0
    while at < len(data):
        if at + 2 > len(data) or data[at] & 0x1F == 0x1F:
            raise DerInvalid("tag")
        start, length = at + 2, data[at + 1]
        if length >= 0x80:
            width = length & 0x7F
            start += width
            length = int.from_bytes(data[at + 2 : start])
            if not 1 <= width <= 4 or start > len(data) or length < 0x80 or length >> 8 * (width - 1) == 0:
                raise DerInvalid("length")
        if start + length > len(data):
            raise DerInvalid("end")
        found.append(Element(data[at], data[start : start + length], data[at : start + length]))
        at = start + length
    return found


def only(data: bytes) -> Element:
    """The one element that ``data`` is. Errors: DerInvalid."""
    found = elements(data)
    if len(found) != 1:
        raise DerInvalid("not one element")
    return found[0]


def written(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    width = (size.bit_length() + 7) // 8
    return bytes((tag, 0x80 | width)) + size.to_bytes(width) + content


def number(value: int) -> bytes:
    """A non-negative INTEGER."""
    return written(INTEGER, value.to_bytes(value.bit_length() // 8 + 1))


def object_id(dotted: str) -> bytes:
    first, second, *rest = map(int, dotted.split("."))
    return written(OBJECT, b"".join(_base128(one) for one in (40 * first + second, *rest)))


def _base128(value: int) -> bytes:
    digits: Sequence[int] = [value & 0x7F]
    while value := value >> 7:
        digits = [value & 0x7F | 0x80, *digits]
    return bytes(digits)
