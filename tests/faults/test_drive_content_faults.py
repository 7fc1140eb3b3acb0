"""The drive's content when its disk is full, its process is killed, its bits rot, its S3 service goes away."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import hashlib
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from beffroi.drive.store.content import Content, Workers
from beffroi.drive.store.keys import Keys
from beffroi.drive.store.local_objects import LocalObjects
from beffroi.drive.store.manifest import Manifest
from beffroi.drive.store.model import StoreFull
from beffroi.drive.store.objects import Objects, StoreUnavailable, chunk_of
from beffroi.drive.store.s3_objects import S3Objects
from beffroi.drive.store.sealing import HEADER_BYTES, Header, ObjectDamaged
from beffroi.drive.store.stock import Stock

from tests.fixtures_drive import Books, new_keys, noise, read, s3_server, write
from tests.waiting import PATIENCE_S

MIB = 1 << 20
EXT4_IOC_SHUTDOWN = 0x8004587D  # fs/ext4/ext4.h: _IOR('X', 125, __u32)
WITHOUT_ITS_JOURNAL = 2
ROOT = Path(__file__).resolve().parents[2]
WRITER = """
import asyncio, json, os, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from beffroi.drive.store.content import Content, Workers
from beffroi.drive.store.keys import Keys
from beffroi.drive.store.local_objects import LocalObjects
from beffroi.lib.config import Config
from tests.fixtures_drive import Books, write

async def main():
    keys, objects = Keys(Config(state=Path(sys.argv[1])), sys.argv[2]), LocalObjects(Path(sys.argv[3]))
    content, books = Content(keys, objects, Workers(ThreadPoolExecutor(4))), Books()
    async def forever():
        while True:
            written = await write(content, books, os.urandom(3_000_000))
            small = {name.hex(): content.sealed(name, data).hex() for name, data in written.inline.items()}
            print(json.dumps([written.sha256.hex(), written.manifest.pack().hex(), small]), flush=True)
    await asyncio.gather(forever(), forever(), forever())

asyncio.run(main())
"""


def run[T](keys: Keys, objects: Objects, use: Callable[[Content], Awaitable[T]]) -> T:
    async def main() -> T:
        return await asyncio.wait_for(use(Content(keys, objects, Workers(pool))), 300)

    with ThreadPoolExecutor(4) as pool:
        return asyncio.run(main())


def damaged(objects: Objects, keys: Keys) -> set[bytes]:
    """Names of the chunks among the objects that are not what they were, as the scrub judges them."""
    bad, stock = set(), Stock(keys.collectivite_id, keys, objects)
    for one in list(objects.list(keys.collectivite_id)):
        name = chunk_of(one.name)
        try:
            header = Header.read(name, bytes(objects.get_range(one.name, 0, HEADER_BYTES)))
        except ObjectDamaged:
            bad.add(name)
        else:
            bad |= {name} if stock.judge(name, header.plain_bytes, None) != "sound" else set()
    return bad


def acknowledged_are_read(keys: Keys, objects: Objects, lines: list[str]) -> int:
    """How many bodies WRITER acknowledged; each is read whole, and no object is there in part."""
    said = [json.loads(line) for line in lines if line.endswith("\n")]

    async def use(content: Content) -> None:
        for sha256, manifest, small in said:
            books = Books(
                inline={bytes.fromhex(name): bytes.fromhex(sealed) for name, sealed in small.items()}
            )
            body = await read(content, books, Manifest.unpack(bytes.fromhex(manifest)))
            assert hashlib.sha256(body).hexdigest() == sha256
        assert damaged(objects, keys) == set()

    run(keys, objects, use)
    return len(said)


@contextmanager
def loop_mounted(image: Path, place: Path) -> Iterator[None]:
    subprocess.run(("mount", "-o", "loop", str(image), str(place)), check=True)
    try:
        yield
    finally:
        subprocess.run(("umount", str(place)), check=True)


def cut_power(place: Path) -> None:
    """What has not reached the disk of this ext4 never does: not its cache, not its journal."""
    descriptor = os.open(place, os.O_RDONLY)
    fcntl.ioctl(descriptor, EXT4_IOC_SHUTDOWN, struct.pack("I", WITHOUT_ITS_JOURNAL))
    os.close(descriptor)


@contextmanager
def small_disk(place: Path, size_bytes: int) -> Iterator[Path]:
    place.mkdir()
    subprocess.run(
        ("mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "beffroi-tests", str(place)), check=True
    )
    try:
        yield place
    finally:
        subprocess.run(("umount", "--lazy", str(place)), check=True)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small disk")
def test_a_full_disk_refuses_the_upload_and_shows_nothing_half_written(tmp_path: Path) -> None:
    keys, books = new_keys(tmp_path / "state"), Books()
    with small_disk(tmp_path / "disk", 24 * MIB) as disk:
        objects = LocalObjects(disk / "objects")

        async def use(content: Content) -> None:
            first = await write(content, books, noise(9 * MIB, b"first"))
            with pytest.raises(StoreFull) as full:
                await write(content, books, noise(40 * MIB, b"second"))
            assert full.value.http_status == 507
            assert list((disk / "objects" / ".new").iterdir()) == []
            assert damaged(objects, keys) == set()
            assert await read(content, books, first.manifest) == noise(9 * MIB, b"first")
            for one in list(objects.list(keys.collectivite_id)):
                if chunk_of(one.name) not in books.known:
                    objects.delete(one.name)
            third = await write(content, books, noise(5 * MIB, b"third"))
            assert await read(content, books, third.manifest) == noise(5 * MIB, b"third")
            # Not one byte left, nor a place for a name.
            with (disk / "filler").open("wb", buffering=0) as file, pytest.raises(OSError) as none:
                while True:
                    file.write(b"x" * (16384 if file.tell() < 9 * MIB else 1))
            assert none.value.errno == errno.ENOSPC
            with pytest.raises(StoreFull):
                await write(content, books, noise(100_000, b"fourth"))
            assert await read(content, books, third.manifest) == noise(5 * MIB, b"third")

        run(keys, objects, use)


def test_kills_in_the_middle_of_writing_lose_nothing_acknowledged_and_leave_nothing_half(
    tmp_path: Path,
) -> None:
    keys, folder, rng = new_keys(tmp_path / "state"), tmp_path / "objects", random.Random(67)
    acknowledged: list[str] = []
    command = (sys.executable, "-c", WRITER, tmp_path / "state", keys.collectivite_id, folder)
    for _ in range(8):
        writer = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        acknowledged.append(writer.stdout.readline())
        time.sleep(rng.random() * 0.2)
        writer.send_signal(signal.SIGKILL)
        acknowledged += writer.stdout.read().splitlines(keepends=True)
        writer.wait(PATIENCE_S)
    assert acknowledged_are_read(keys, LocalObjects(folder), acknowledged) >= 8
    objects = LocalObjects(folder)
    left = list((folder / ".new").iterdir())
    assert objects.sweep(0) == len(left)
    assert list((folder / ".new").iterdir()) == []


@pytest.mark.root
@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("mkfs.ext4"), reason="mounts a file system in a file"
)
def test_power_cuts_lose_nothing_acknowledged_and_leave_nothing_half(tmp_path: Path) -> None:
    keys, rng, lines = new_keys(tmp_path / "state"), random.Random(67), list[str]()
    image, place = tmp_path / "disk.img", tmp_path / "disk"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(400 * MIB)
    subprocess.run(("mkfs.ext4", "-q", str(image)), check=True)
    command = (sys.executable, "-c", WRITER, tmp_path / "state", keys.collectivite_id, place / "objects")
    for _ in range(5):
        with loop_mounted(image, place):
            writer = subprocess.Popen(
                command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
            assert writer.stdout is not None
            lines.append(writer.stdout.readline())
            time.sleep(rng.random() * 0.1)
            cut_power(place)
            writer.kill()
            lines += writer.stdout.read().splitlines(keepends=True)
            writer.wait(PATIENCE_S)
        with loop_mounted(image, place):
            acknowledged_are_read(keys, LocalObjects(place / "objects"), lines)
    assert len(lines) >= 5


def test_flipped_bits_on_the_disk_are_all_found_and_named(tmp_path: Path) -> None:
    keys, objects, books, rng = (
        new_keys(tmp_path / "state"),
        LocalObjects(tmp_path / "o"),
        Books(),
        random.Random(1),
    )

    async def use(content: Content) -> None:
        for n in range(20):
            await write(content, books, noise(100_000 + 40_000 * n, bytes((n,))))
        every = sorted(objects.list(keys.collectivite_id), key=lambda one: one.name)
        assert damaged(objects, keys) == set()
        hit = rng.sample(every, 9)
        for one in hit:
            with (tmp_path / "o" / one.name).open("r+b") as file:
                at = rng.randrange(one.size_bytes)
                file.seek(at)
                byte = file.read(1)[0]
                file.seek(at)
                file.write(bytes((byte ^ 1 << rng.randrange(8),)))
        assert damaged(objects, keys) == {chunk_of(one.name) for one in hit}

    run(keys, objects, use)


def test_an_s3_service_that_goes_away_ends_the_upload_and_the_next_one_goes_on(tmp_path: Path) -> None:
    keys, books = new_keys(tmp_path / "state"), Books()
    body = noise(12 * MIB)
    with s3_server(tmp_path / "first") as place:
        objects = S3Objects(place)

        async def use(content: Content) -> None:
            written = await write(content, books, body)
            assert await read(content, books, written.manifest) == body
            assert (
                await read(content, books, written.manifest, 5 * MIB, 5 * MIB + 9)
                == body[5 * MIB : 5 * MIB + 9]
            )

        run(keys, objects, use)

    async def fail(content: Content) -> None:
        with pytest.raises(StoreUnavailable) as away:
            await write(content, Books(), body)
        assert away.value.retryable
        assert place.secret_key not in str(away.value)

    run(keys, objects, fail)
    with s3_server(tmp_path / "second") as place:

        async def again(content: Content) -> None:
            books = Books()
            written = await write(content, books, body)
            assert await read(content, books, written.manifest) == body

        run(keys, S3Objects(place), again)
