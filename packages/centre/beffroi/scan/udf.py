"""Files of a UDF volume, as optical discs have them and Windows' own burner writes them, one at a time. Pure.

Rule, hostile: as ``volumes``.
Fails:   Unread for what is no such volume, has parts that are not read here (a table of virtual blocks, a file of
         metadata, spare blocks) or leads nowhere: after the files that can be read.
Source:  ECMA-167; OSTA Universal Disk Format 1.02 to 2.60; docs/decisions/0230-disk-images-are-opened.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from beffroi.scan.volumes import FOLDER_BYTES, Extent, File, Read, Unread, number, pieces

_ANCHOR, _PARTITION, _LOGICAL, _TERMINATOR, _NAMED, _MORE, _ENTRY, _LONG_ENTRY = (
    2,
    5,
    6,
    8,
    257,
    258,
    261,
    266,
)
_FOLDER, _WITHIN = 4, 3
_IS_FOLDER, _IS_DELETED, _IS_PARENT = 2, 4, 8
_PLAIN = 1
_MOST_DESCRIPTORS, _MOST_PARTS, _MOST_CONTINUED = 64, 8, 1024
_LENGTH, _CONTINUED = (1 << 30) - 1, 3


class _Node(NamedTuple):
    is_folder: bool
    size_bytes: int
    content: bytes
    extents: Iterable[Extent]


def files(read: Read, size_bytes: int) -> Iterator[File]:
    """Errors: Unread."""
    for unit in (2048, 512, 4096):
        for at in (256 * unit, size_bytes - unit, size_bytes - 257 * unit):
            anchor = read(at, 32) if at >= 0 else b""
            if number(anchor, 0, 2) == _ANCHOR and number(anchor, 16, 4):
                yield from _Udf(read, unit).files(number(anchor, 20, 4) * unit)
                return
    raise Unread


class _Udf:
    """``unit``: of a block, in bytes."""

    def __init__(self, read: Read, unit: int) -> None:
        self._read, self._unit = read, unit
        self._parts: list[int] = []
        """Where each begins."""
        self._is_whole = True

    def files(self, described_at: int) -> Iterator[File]:
        """Errors: Unread, also where something led nowhere."""
        first = self._led(self._set_up(described_at))
        folders, seen = [self._node(first[400:416])], set[bytes]()
        while folders:
            for name, is_folder, led in _names(b"".join(self._pieces(folders.pop(), FOLDER_BYTES))):
                if is_folder and led[4:10] in seen:
                    continue
                node = self._node(led)
                if is_folder:
                    seen.add(led[4:10])
                    folders.append(node)
                yield File(name, None if is_folder else self._pieces(node))
        if not self._is_whole:
            raise Unread

    def _set_up(self, at: int) -> bytes:
        """Finds the parts; what leads to the set of files. Errors: Unread."""
        starts, logical = dict[int, int](), b""
        for n in range(_MOST_DESCRIPTORS):
            one = self._read(at + n * self._unit, self._unit)
            kind = number(one, 0, 2)
            if kind == _PARTITION:
                starts[number(one, 22, 2)] = number(one, 188, 4) * self._unit
            elif kind == _LOGICAL:
                logical = one
            elif kind in (0, _TERMINATOR):
                break
        for n in range(min(number(logical, 268, 4), _MOST_PARTS)):
            told = logical[440 + 6 * n :][:6]
            if told[:1] != bytes((_PLAIN,)) or number(told, 4, 2) not in starts:
                raise Unread
            self._parts.append(starts[number(told, 4, 2)])
        return logical[248:264]

    def _led(self, led: bytes) -> bytes:
        """The block to which a long descriptor of an extent leads."""
        at, _ = self._extent(led, self._unit)
        return self._read(at, self._unit)

    def _extent(self, led: bytes, length: int) -> tuple[int, int]:
        """What leads to no part leads nowhere."""
        part, block = number(led, 8, 2), number(led, 4, 4)
        return (self._parts[part] + block * self._unit if part < len(self._parts) else -1), length

    def _node(self, led: bytes) -> _Node:
        entry, part = self._led(led), number(led, 8, 2)
        start = {_ENTRY: 176, _LONG_ENTRY: 216}.get(number(entry, 0, 2))
        if start is None:
            self._is_whole = False
            return _Node(False, 0, b"", ())
        begins = start + number(entry, start - 8, 4)
        told, how = entry[begins:][: number(entry, start - 4, 4)], entry[34] & 7
        is_folder, size_bytes = entry[27] == _FOLDER, number(entry, 56, 8)
        if how == _WITHIN:
            return _Node(is_folder, size_bytes, told[:size_bytes], ())
        return _Node(is_folder, size_bytes, b"", self._extents(part, told, is_long=how == 1))

    def _pieces(self, node: _Node, most: int = 1 << 62) -> Iterable[bytes]:
        return (
            (node.content,) if node.content else pieces(self._read, node.extents, min(node.size_bytes, most))
        )

    def _extents(self, part: int, told: bytes, *, is_long: bool) -> Iterator[Extent]:
        step = 16 if is_long else 8
        for _ in range(_MOST_CONTINUED):
            more = b""
            for at in range(0, len(told) - step + 1, step):
                one = told[at : at + step] if is_long else told[at : at + 8] + part.to_bytes(2, "little")
                length, kind = number(one, 0, 4) & _LENGTH, number(one, 0, 4) >> 30
                if not length:
                    return
                if kind == _CONTINUED:
                    more = self._led(one)
                    break
                yield (None, length) if kind else self._extent(one, length)
            if number(more, 0, 2) != _MORE:
                return
            told = more[24:][: number(more, 20, 4)]


def _names(folder: bytes) -> Iterator[tuple[str, bool, bytes]]:
    """Name, whether it is a folder, what leads there."""
    at = 0
    while number(folder, at, 2) == _NAMED:
        flags, length, use = folder[at + 18], folder[at + 19], number(folder, at + 36, 2)
        name = folder[at + 38 + use :][:length]
        if not flags & (_IS_DELETED | _IS_PARENT):
            text = name[1:].decode("utf-16-be" if name[:1] == b"\x10" else "latin-1", "replace")
            yield text, bool(flags & _IS_FOLDER), folder[at + 20 : at + 36]
        at += 38 + use + length + 3 & ~3
