"""Contents of a sealed folder read again, portion by portion: to seal it, and to verify it.

Process: drive-keeper.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

from beffroi.drive.archives.entries import ContentChanged, content
from beffroi.drive.seals import files
from beffroi.drive.seals.files import File
from beffroi.drive.store.database import Database
from beffroi.drive.store.stock import Stock

MOST_FILES, MOST_BYTES = 200, 64 << 20


class Stopped(Exception):
    """The process ends; what was begun goes on when it is back."""


def is_sound(file: File, database: Database, stock: Stock, stopped: threading.Event) -> bool:
    """Whether every byte is what the store knows of it. Errors: Stopped; those of the objects."""
    try:
        for _ in content(files.entry(file, database, stock), 1):
            if stopped.is_set():
                raise Stopped
    except ContentChanged:
        return False
    return True


def portions(found: Sequence[File]) -> Iterator[list[File]]:
    """MOST_FILES files or MOST_BYTES each, and a larger file alone with what came before it."""
    some: list[File] = []
    size_bytes = 0
    for one in found:
        some.append(one)
        size_bytes += one.node.size_bytes
        if len(some) >= MOST_FILES or size_bytes >= MOST_BYTES:
            yield some
            some, size_bytes = [], 0
    if some:
        yield some
