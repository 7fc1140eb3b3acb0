"""What somebody signed: the content of a .p7m (PKCS #7, CMS), which programs open signature or not, also where CMS
puts it without one (data, digested data). Pure.

Hostile: everything. Lengths lead forward and to the end of the data alone; MAX_DEPTH deep.
Fails:   ValueError, IndexError for what is cut or built otherwise.
Source:  RFC 5652, 4, 5.1, 5.2 and 7; X.690, 8.1 (lengths without an end: what writes a stream writes so).
"""

from __future__ import annotations

from typing import NamedTuple

from beffroi.scan import kinds

MAX_DEPTH = 12
_SEQUENCE, _SET, _INTEGER, _OID, _OCTETS, _OCTETS_IN_PARTS, _FIRST = 0x30, 0x31, 0x02, 0x06, 0x04, 0x24, 0xA0
_IN_PARTS = 0x20
_KIND = b"\x2a\x86\x48\x86\xf7\x0d\x01\x07"
_DATA, _SIGNED, _DIGESTED = _KIND + b"\x01", _KIND + b"\x02", _KIND + b"\x05"


class _Element(NamedTuple):
    """``start``, ``end``: of what is in it; ``after``: where the next one begins."""

    tag: int
    start: int
    end: int
    after: int


def content(data: bytes) -> bytes:
    """b"" where the signature stands alone."""
    data = kinds.unarmoured(data)
    named, inner = _inside(data, _at(data, 0, _SEQUENCE))[:2]
    kind = data[named.start : named.end]
    if kind == _DATA:
        return _octets(data, _read(data, inner.start, 0))
    parts = _inside(data, _at(data, inner.start, _SEQUENCE))
    wanted = {_SIGNED: (_INTEGER, _SET, _SEQUENCE), _DIGESTED: (_INTEGER, _SEQUENCE, _SEQUENCE)}.get(kind)
    if tuple(one.tag for one in parts[:3]) != wanted:
        raise ValueError("no signed data")
    told = _inside(data, parts[2])
    if len(told) < 2:
        return b""
    if told[0].tag != _OID or told[1].tag != _FIRST:
        raise ValueError("no content")
    return _octets(data, _read(data, told[1].start, 0))


def _octets(data: bytes, one: _Element, depth: int = 0) -> bytes:
    if one.tag == _OCTETS:
        return data[one.start : one.end]
    if one.tag != _OCTETS_IN_PARTS or depth > MAX_DEPTH:
        raise ValueError("no octets")
    return b"".join(_octets(data, part, depth + 1) for part in _inside(data, one))


def _at(data: bytes, place: int, tag: int) -> _Element:
    one = _read(data, place, 0)
    if one.tag != tag:
        raise ValueError("another element")
    return one


def _inside(data: bytes, one: _Element) -> list[_Element]:
    found, at = [], one.start
    while at < one.end:
        found.append(_read(data, at, 0))
        at = found[-1].after
    return found


def _read(data: bytes, at: int, depth: int) -> _Element:
    tag, length = data[at], data[at + 1]
    start = at + 2
    if tag & 0x1F == 0x1F or depth > MAX_DEPTH:
        raise ValueError("a long tag")
    if length == 0x80:
        if not tag & _IN_PARTS:
            raise ValueError("no length")
        end = start
        while data[end : end + 2] != b"\0\0":
            end = _read(data, end, depth + 1).after
        return _Element(tag, start, end, end + 2)
    if length > 0x80:
        size = length & 0x7F
        length = int.from_bytes(data[start : start + size], "big")
        start += size
    if start + length > len(data):
        raise ValueError("cut")
    return _Element(tag, start, start + length, start + length)
