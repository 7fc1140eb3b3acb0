"""Bulk lists: checking a file of indicators, and asking it.

Purpose: a list of a million values costs a door its file and a few arrays, not a million Python objects.
Input:   hostile until ``ListCheck.finish``: the digest is signed, but nothing is asked of a list before its
         content was read once, line by line.
Format:  one canonical value of the list's kind a line, UTF-8, sorted by bytes, unique, each line ended by one
         line feed. See docs/internals/feed.md.
Pure: no I/O; a buffer may be bytes or a memory map.
"""

from __future__ import annotations

import hashlib
import ipaddress
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Protocol

from beffroi_protocol.errors import FileMismatch, ListInvalid
from beffroi_protocol.indicators import (
    MAX_VALUE_BYTES,
    Indicator,
    Kind,
    is_canonical,
    normalise,
    registered_names,
)
from beffroi_protocol.messages import BulkList


class Buffer(Protocol):
    """What bytes and mmap have in common."""

    def __len__(self) -> int: ...
    def __getitem__(self, at: slice, /) -> bytes: ...
    def find(self, sub: bytes, start: int, end: int, /) -> int: ...
    def rfind(self, sub: bytes, start: int, end: int, /) -> int: ...


def content(values: Iterable[str]) -> bytes:
    """Return the file of canonical values: sorted by bytes, each once."""
    lines = sorted(set(values))  # in the order of their UTF-8 bytes, which is that of code points
    return "\n".join((*lines, "")).encode()


class ListCheck:
    """Checks a list's content piece by piece; memory is bounded by one line. Nothing counts before ``finish``."""

    def __init__(self, wanted: BulkList) -> None:
        self._wanted = wanted
        self._digest = hashlib.sha256()
        self._size_bytes = 0
        self._count = 0
        self._rest = b""
        self._last = b""

    def feed(self, chunk: bytes) -> None:
        """Errors: ListInvalid, FileMismatch (longer than announced)."""
        self._digest.update(chunk)
        self._size_bytes += len(chunk)
        if self._size_bytes > self._wanted.size_bytes:
            raise FileMismatch("it is longer")
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            self._line(line)
        if len(self._rest) > MAX_VALUE_BYTES:
            raise ListInvalid(self._wanted.name, f"line {self._count + 1} is too long")

    def finish(self) -> None:
        """Errors: FileMismatch (size or digest), ListInvalid (count, or half a line at the end)."""
        if self._size_bytes != self._wanted.size_bytes or self._digest.hexdigest() != self._wanted.sha256:
            raise FileMismatch("size or digest")
        if self._rest:
            raise ListInvalid(self._wanted.name, "the last line has no end")
        if self._count != self._wanted.count:
            raise ListInvalid(self._wanted.name, f"{self._count} lines instead of {self._wanted.count}")

    def _line(self, line: bytes) -> None:
        self._count += 1
        if line <= self._last:
            raise ListInvalid(self._wanted.name, f"line {self._count} is not in order")
        self._last = line
        try:
            value = line.decode()
        except UnicodeDecodeError:
            raise ListInvalid(self._wanted.name, f"line {self._count} is not UTF-8") from None
        if not is_canonical(Indicator(self._wanted.kind, value)):
            raise ListInvalid(self._wanted.name, f"line {self._count} is not canonical")


class ListIndex:
    """Answers from a checked list. The buffer must not change or close while the index is in use."""

    def __init__(self, buffer: Buffer, kind: Kind) -> None:
        self._buffer = buffer
        self._kind = kind
        self._networks = _Networks(self) if kind is Kind.CIDR else None

    def __iter__(self) -> Iterator[str]:
        start, size = 0, len(self._buffer)
        while start < size:
            end = self._buffer.find(b"\n", start, size)
            yield self._buffer[start:end].decode()
            start = end + 1

    def __contains__(self, value: str) -> bool:
        """True when this canonical value is a line: a binary search."""
        buffer, wanted = self._buffer, value.encode()
        low, high = 0, len(buffer)  # both are beginnings of lines
        while low < high:
            start = buffer.rfind(b"\n", low, (low + high) // 2) + 1 or low
            end = buffer.find(b"\n", start, high)
            line = buffer[start:end]
            if line == wanted:
                return True
            if line < wanted:
                low = end + 1
            else:
                high = start
        return False

    def match(self, indicator: Indicator) -> bool:
        """True when exactly this canonical indicator is listed."""
        return indicator.kind is self._kind and indicator.value in self

    def match_address(self, address: str) -> str | None:
        """Return the listed address or network that covers this address. Errors: IndicatorInvalid."""
        value = normalise(Kind.IP, address).value
        if self._networks is not None:
            return self._networks.covering(value)
        return value if self._kind is Kind.IP and value in self else None

    def match_name(self, name: str) -> str | None:
        """Return the name, or its longest parent, that is listed. Errors: IndicatorInvalid."""
        parents = registered_names(normalise(Kind.DOMAIN, name).value)
        if self._kind is not Kind.DOMAIN:
            return None
        return next((parent for parent in parents if parent in self), None)


class _Networks:
    """Networks as packed numbers, by family. Of nested ones the widest stays: the others add nothing."""

    def __init__(self, values: Iterable[str]) -> None:
        found: dict[int, list[int]] = {4: [], 6: []}
        for value in values:
            network = ipaddress.ip_network(value)
            found[network.version].append(int(network.network_address) << 8 | network.prefixlen)
        self._starts: dict[int, bytes] = {}
        self._lengths: dict[int, array[int]] = {}
        for family, bits in ((4, 32), (6, 128)):
            starts, lengths, covered = bytearray(), array("B"), -1
            for packed in sorted(found.pop(family)):
                start, length = packed >> 8, packed & 0xFF
                if start > covered:
                    starts += start.to_bytes(bits // 8)
                    lengths.append(length)
                    covered = start | ((1 << (bits - length)) - 1)
            self._starts[family], self._lengths[family] = bytes(starts), lengths

    def covering(self, address: str) -> str | None:
        parsed = ipaddress.ip_address(address)
        number, bits = int(parsed), parsed.max_prefixlen
        starts, lengths, width = self._starts[parsed.version], self._lengths[parsed.version], bits // 8

        def start(i: int) -> int:
            return int.from_bytes(starts[i * width : (i + 1) * width])

        at = bisect_right(range(len(lengths)), number, key=start) - 1
        if at < 0 or (number ^ start(at)) >> (bits - lengths[at]):
            return None
        family = ipaddress.IPv4Network if parsed.version == 4 else ipaddress.IPv6Network
        return str(family((start(at), lengths[at])))
