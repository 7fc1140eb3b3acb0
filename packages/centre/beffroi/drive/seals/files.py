"""The files of a sealed folder as the archives read them: by the store's own names, hashes and chunks.

Process: drive. Each read blocks.
Hostile: what is stored (``store.sealing``): a chunk that does not open, or a list of chunks that is none, ends its
         file early, and ``archives.entries`` says that the file is not what it was.
"""

from __future__ import annotations

import io
from collections.abc import Buffer
from functools import partial
from typing import BinaryIO, NamedTuple

from beffroi.drive.archives.entries import Entry
from beffroi.drive.store import look, refs
from beffroi.drive.store.database import Database
from beffroi.drive.store.manifest import Manifest, ManifestBroken
from beffroi.drive.store.model import Node
from beffroi.drive.store.objects import ObjectMissing
from beffroi.drive.store.sealing import ObjectDamaged
from beffroi.drive.store.stock import Stock
from beffroi.drive.store.writing import Reading


class File(NamedTuple):
    """``path``: from the sealed folder."""

    path: str
    node: Node


def listed(reading: Reading, folder: int) -> list[File]:
    """All files below a folder, by identifier."""
    paths = {folder: ""}
    found: list[File] = []
    for one in look.below(reading, folder):
        path = paths[one.parent] + one.name
        if one.is_folder:
            paths[one.id] = path + "/"
        else:
            found.append(File(path, one))
    return sorted(found, key=lambda file: file.node.id)


def entry(file: File, database: Database, stock: Stock) -> Entry:
    one = file.node
    return Entry(file.path, one.size_bytes, one.mtime_s, one.sha256, partial(_opened, one, database, stock))


def _opened(one: Node, database: Database, stock: Stock) -> BinaryIO:
    try:
        found = Manifest.unpack(one.manifest)
    except (ManifestBroken, TypeError):  # SQLite keeps any type in any column
        found = Manifest()
    return io.BufferedReader(_Chunks(found, database, stock))


class _Chunks(io.RawIOBase):
    """A content chunk by chunk. Errors of a read: StoreUnavailable, those of the keys."""

    def __init__(self, manifest: Manifest, database: Database, stock: Stock) -> None:
        self._names = iter(manifest.chunks)
        self._database, self._stock = database, stock
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, into: Buffer, /) -> int:
        target = memoryview(into)
        if not self._left:
            self._left = memoryview(self._next())
        count = min(len(target), len(self._left))
        target[:count] = self._left[:count]
        self._left = self._left[count:]
        return count

    def _next(self) -> bytes:
        """Empty at the end, and where the next chunk is gone or damaged: nothing behind it is read."""
        chunk = next(self._names, None)
        if chunk is None:
            return b""
        with self._database.reading() as reading:
            sealed = refs.sealed(reading, chunk.id)
        try:
            return self._stock.read(chunk.id, sealed)
        except (ObjectDamaged, ObjectMissing):
            self._names = iter(())
            return b""
