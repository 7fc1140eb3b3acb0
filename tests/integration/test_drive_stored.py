"""A stored file by position, as the guard and the scan read it: of a look here and there, little is opened."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from beffroi.drive.guard import structure
from beffroi.drive.store import keys
from beffroi.drive.store.chunking import CHUNK_BYTES
from beffroi.drive.store.commune import Communes
from beffroi.drive.store.local_objects import LocalObjects
from beffroi.drive.store.manifest import Manifest
from beffroi.drive.store.sealing import FRAME_BYTES, Bytes
from beffroi.drive.store.stock import Stock
from beffroi.drive.store.stored import Stored
from beffroi.lib.config import Config

from tests.drive_server import A, Served, served
from tests.fixtures_drive import noise

HOME = "/remote.php/dav/files/alice"
FILM = noise(20 * CHUNK_BYTES + 12_345)
LIST = b"".join(b"%09d;Rue des Lilas\n" % number for number in range(500_000))
"""Compressed in the store: no frame of a chunk opens alone."""


@dataclass
class Counted(LocalObjects):
    root: Path
    read_bytes: int = field(default=0)

    def __post_init__(self) -> None:
        super().__init__(self.root)

    def get(self, name: str, room: memoryview | None = None) -> Bytes:
        return self._count(super().get(name, room))

    def get_range(self, name: str, start: int, end: int) -> Bytes:
        return self._count(super().get_range(name, start, end))

    def _count(self, found: Bytes) -> Bytes:
        self.read_bytes += len(found)
        return found


@dataclass
class Shelf:
    """What the drive stored, and what was read of its objects."""

    drive: Served
    communes: Communes
    objects: Counted
    stock: Stock

    def stored(self, name: str, data: bytes) -> Stored:
        assert self.drive.ask("PUT", f"{HOME}/{name}", data)[0] == 201
        database = self.communes.metadata(A)
        with database.reading() as reading:
            row = reading.one("SELECT manifest FROM node WHERE name = ?", (name,))
        assert row is not None
        return Stored(self.stock, database, Manifest.unpack(row[0]))


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    with served(tmp_path / "state") as drive, ThreadPoolExecutor(1) as pool:
        config = Config(state=drive.directory)
        communes = Communes(config.state / "drive", pool, config.drive_database)
        objects = Counted(config.state / "drive" / "objects")
        communes.metadata(A)  # before its keys
        yield Shelf(drive, communes, objects, Stock(A, keys.make(config, A), objects))
        communes.close()


def test_the_guard_looks_at_a_large_file_in_a_few_frames(shelf: Shelf) -> None:
    """Sixteen blocks over the file: sixteen chunks, of which each was opened whole before."""
    structure.look(shelf.stored("film.bin", FILM), "film.bin", len(FILM), None)
    assert 0 < shelf.objects.read_bytes <= 20 * (FRAME_BYTES + 100)


def test_who_goes_through_a_file_in_small_steps_opens_each_chunk_whole_once(shelf: Shelf) -> None:
    stored, step = shelf.stored("film.bin", FILM), 64 * 1024
    assert b"".join(stored.read(at, step) for at in range(0, len(FILM), step)) == FILM
    assert shelf.objects.read_bytes < len(FILM) + 22 * FRAME_BYTES


@pytest.mark.parametrize("data", [FILM, LIST], ids=["as it is", "compressed"])
def test_every_range_has_the_bytes_of_its_place(shelf: Shelf, data: bytes) -> None:
    stored, luck = shelf.stored("file", data), random.Random(3)
    places = [0, CHUNK_BYTES - 1, CHUNK_BYTES, FRAME_BYTES - 1, len(data) - 1, len(data), len(data) + 9]
    for at in places + [luck.randrange(len(data)) for _ in range(30)]:
        length = luck.choice([1, 5000, FRAME_BYTES, CHUNK_BYTES // 2, CHUNK_BYTES * 2])
        assert stored.read(at, length) == data[at : at + length]
