"""A served drive with a town hall's files in it, and a device that changes them as ransomware does."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from beffroi.drive import alarms
from beffroi.drive.alarms import Raised
from beffroi.drive.store.commune import Communes
from beffroi.drive.store.database import Database
from beffroi.drive.store.model import Act
from beffroi.lib import clock

from tests import drive_attacks
from tests.drive_files import OFFICE, made
from tests.drive_server import A, Served, served
from tests.fixtures_stream import eventually

COMMON = "/remote.php/dav/files/alice/Commune"


COLLEAGUE = "/remote.php/dav/files/amir/Commune"


DEVICE = "app_alice"


type Tree = dict[str, bytes]


@pytest.fixture
def drive(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path / "state") as one:
        yield one


def town_hall(drive: Served) -> Tree:
    """40 office files of a colleague in 8 folders of the collectivité, by their path in it."""
    files: Tree = {}
    for folder in range(8):
        assert drive.ask("MKCOL", f"{COLLEAGUE}/f{folder}", login="amir")[0] == 201
        for number in range(5):
            kind = OFFICE[(folder * 5 + number) % len(OFFICE)]
            files[f"f{folder}/piece{number}.{kind}"] = made(kind, folder)
    for path, data in files.items():
        assert drive.ask("PUT", f"{COLLEAGUE}/{path}", data, "amir")[0] == 201
    return files


@contextmanager
def metadata(drive: Served, collectivite_id: str = A) -> Iterator[Database]:
    with ThreadPoolExecutor(1) as pool:
        communes = Communes(drive.directory / "drive", pool)
        yield communes.metadata(collectivite_id)
        communes.close()


def raised(drive: Served, collectivite_id: str = A) -> list[Raised]:
    with metadata(drive, collectivite_id) as database, database.reading() as reading:
        return alarms.every(reading)


def judged(drive: Served) -> None:
    """Wait until nothing is left to judge."""

    def is_over() -> bool:
        with metadata(drive) as database, database.reading() as reading:
            last = reading.one("SELECT MAX(number) FROM change WHERE device_id <> '' AND is_folder = 0")
            seen = reading.one("SELECT number FROM judged")
        return last is not None and seen is not None and seen[0] >= last[0]

    eventually(is_over, "judged")


def encrypt(drive: Served, files: Tree) -> int:
    """Overwrite one after the other until it is refused; how many were."""
    for number, (path, data) in enumerate(sorted(files.items(), key=lambda one: hash_of(one[0]))):
        status, _, answer = drive.ask("PUT", f"{COMMON}/{path}", drive_attacks.full(data, number))
        if status == 403:
            assert "Cet appareil est arrêté" in answer.decode()
            return number
        assert status == 204
        judged(drive)
    raise AssertionError("never stopped")


def hash_of(path: str) -> int:
    return random.Random(path).randrange(1 << 30)


def stopped_after(drive: Served, files: dict[str, bytes], step: Callable[[int, str], list[int]]) -> int:
    """How many files are attacked before the device is stopped, in an order of no meaning.

    ``step``: attacks one, by its number and path; returns the statuses that count."""
    for number, path in enumerate(sorted(files, key=hash_of)):
        if 403 in step(number, path):
            return number
        judged(drive)
    raise AssertionError("never stopped")


def content_of(drive: Served, files: Tree) -> Tree:
    """What the colleague finds."""
    found = {}
    for path in files:
        status, _, data = drive.ask("GET", f"{COLLEAGUE}/{path}", login="amir")
        if status == 200:
            found[path] = data
    return found


def act() -> Act:
    return Act("per_referent", "", clock.epoch_s())
