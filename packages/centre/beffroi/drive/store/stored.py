"""A stored content by position, of which a few chunks are held at a time.

Process: sentry, filescan. Each read blocks.
Hostile: what is stored (``sealing``).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from dataclasses import dataclass, field
from itertools import accumulate

from beffroi.drive.store import refs
from beffroi.drive.store.database import Database
from beffroi.drive.store.manifest import Manifest
from beffroi.drive.store.sealing import ObjectDamaged
from beffroi.drive.store.stock import Stock

CHUNKS_HELD = 2
_PART = 8
"""Of less than an eighth of a chunk that is met for the first time, its frames alone are opened."""


@dataclass
class Stored:
    """Implements ``guard.reading.Readable``. ``size_bytes``: as the manifest says."""

    stock: Stock
    database: Database
    manifest: Manifest
    size_bytes: int = field(init=False)
    _starts: list[int] = field(init=False)
    _held: OrderedDict[int, bytes] = field(default_factory=OrderedDict, init=False)
    _met: set[int] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        self._starts = [0, *accumulate(chunk.length for chunk in self.manifest.chunks)]
        self.size_bytes = self._starts.pop()

    def read(self, offset: int, length: int, /) -> bytes:
        """Fewer bytes at the end alone. Errors: those of ``Stock.read``."""
        end = min(offset + length, self.size_bytes)
        out = bytearray()
        number = bisect_right(self._starts, offset) - 1
        while offset + len(out) < end:
            start, after = self._starts[number], self._starts[number] + self.manifest.chunks[number].length
            out += self._piece(number, offset + len(out) - start, min(end, after) - start)
            number += 1
        return bytes(out)

    def _piece(self, number: int, start: int, end: int) -> bytes:
        if number not in self._held:
            name, length = self.manifest.chunks[number]
            with self.database.reading() as reading:
                sealed = refs.sealed(reading, name)
            if sealed is None and number not in self._met and (end - start) * _PART < length:
                self._met.add(number)
                return self.stock.read_part(name, start, end)
            found = self.stock.read(name, sealed)
            if len(found) != length:
                raise ObjectDamaged(name)
            self._held[number] = found
            if len(self._held) > CHUNKS_HELD:
                self._held.popitem(last=False)
        return self._held[number][start:end]
