"""`python -m bench.drive_content [FOLDER]`: the drive's content layer beside plain files of the same bytes.

What:    bodies taken in (cut, named, compressed where it pays, sealed, synced, hashed twice) and given out again
         (fetched, proved, opened), and the steps alone, in memory. Turns alternate; the median of each is shown.
Peer:    the same body written to one file with fsync, and read again; both from the page cache.
Process: any user; FOLDER is on the disk that is to be measured (default: here).
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from beffroi.drive.store import keys
from beffroi.drive.store.chunking import CHUNK_BYTES, FIXED_FROM_BYTES, Chunker, Digests, chunk_id
from beffroi.drive.store.content import Content, Workers, Written
from beffroi.drive.store.local_objects import LocalObjects
from beffroi.drive.store.sealing import Sealer
from beffroi.lib import ids
from beffroi.lib.config import Config

from bench.rows import Row, table

TURNS, PIECE_BYTES = 5, 1 << 18
TEXT = "Considérant que la commune est propriétaire de la parcelle cadastrée AB {}, \n"
BODIES: dict[str, Callable[[], bytes]] = {
    "noise of 40 MiB (cut by content)": lambda: os.urandom(40 << 20),
    "noise of 200 MiB (cut at fixed places)": lambda: os.urandom(200 << 20),
    "text of 40 MiB": lambda: "".join(TEXT.format(n) for n in range(540_000)).encode()[: 40 << 20],
}


async def none_known(names: Sequence[bytes]) -> set[bytes]:
    return set()


async def take_in(content: Content, body: bytes) -> Written:
    async with content.writer(none_known, len(body)) as writer:
        for at in range(0, len(body), PIECE_BYTES):
            await writer.feed(body[at : at + PIECE_BYTES])
        return await writer.close()


async def give_out(content: Content, written: Written) -> None:
    async def inline(names: Sequence[bytes]) -> Mapping[bytes, bytes]:
        return {name: content.sealed(name, data) for name, data in written.inline.items()}

    async for _ in content.read(written.manifest, inline):
        pass


def cut(chunker: Chunker, body: bytes) -> int:
    return len(chunker.feed(body)) + len(chunker.close())


def write_plain(path: Path, body: bytes) -> None:
    with path.open("wb", buffering=0) as file:
        for at in range(0, len(body), PIECE_BYTES):
            file.write(body[at : at + PIECE_BYTES])
        os.fsync(file.fileno())


def read_plain(path: Path) -> None:
    with path.open("rb", buffering=0) as file:
        while file.read(CHUNK_BYTES):
            pass


def took_s(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


@contextmanager
def noted(turns: list[tuple[float, float]]) -> Iterator[None]:
    """Add a turn: seconds on the clock, and of processor time, which other programs change less."""
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    turns.append((time.perf_counter() - wall, time.process_time() - cpu))


async def through_the_disk(folder: Path, config: Config) -> list[Row]:
    rows = []
    with ThreadPoolExecutor(4) as threads:
        workers = Workers(threads)
        for what, make in BODIES.items():
            body, plain = make(), folder / "plain"
            turns: dict[str, list[tuple[float, float]]] = {"in": [], "out": [], "write": [], "read": []}
            for _ in range(TURNS):
                mine, place = keys.make(config, ids.new_id("col")), folder / secrets.token_hex(4)
                content = Content(mine, LocalObjects(place), workers)
                with noted(turns["write"]):
                    write_plain(plain, body)
                with noted(turns["in"]):
                    written = await take_in(content, body)
                with noted(turns["read"]):
                    read_plain(plain)
                with noted(turns["out"]):
                    await give_out(content, written)
                shutil.rmtree(place)
            for ours, peer, peer_name in (
                ("in", "write", "plain file, fsync"),
                ("out", "read", "plain file"),
            ):
                (wall_s, cpu_s), (peer_wall_s, peer_cpu_s) = (
                    [statistics.median(column) for column in zip(*turns[name], strict=True)]
                    for name in (ours, peer)
                )
                size = len(body) / 1e6
                rates = (size / wall_s, size / peer_wall_s)
                rows.append(Row(f"{what}: {ours}", "MB/s", *rates, peer_name, more_is_better=True))
                costs = (cpu_s / size * 1e3, peer_cpu_s / size * 1e3)
                rows.append(Row(f"{what}: {ours}, processor", "ms/MB", *costs, peer_name))
    return rows


def in_memory(config: Config) -> list[Row]:
    mine = keys.make(config, ids.new_id("col"))
    sealer, naming = Sealer(mine), mine.naming()
    rows = []
    for what, body in (
        ("noise", os.urandom(CHUNK_BYTES)),
        ("text", "".join(TEXT.format(n) for n in range(54_000)).encode()[:CHUNK_BYTES]),
    ):
        name = chunk_id(naming, body)
        sealed = bytes(sealer.seal(name, body))
        steps: dict[str, Callable[[], object]] = {
            "named": lambda: chunk_id(naming, body),  # noqa: B023 - called at once
            "sealed": lambda: sealer.seal(name, body),  # noqa: B023
            "opened": lambda: sealer.open(name, sealed),  # noqa: B023
            "hashed twice": lambda: Digests().update(body),  # noqa: B023
            "cut by content": lambda: cut(Chunker(lambda: 1), body),  # noqa: B023
            "cut at fixed places": lambda: cut(Chunker(lambda: 1, FIXED_FROM_BYTES + 1), body),  # noqa: B023
        }
        copied = statistics.median(took_s(lambda: bytearray(body)) for _ in range(40))  # noqa: B023
        for step, work in steps.items():
            median = statistics.median(took_s(work) for _ in range(40))
            rates = (len(body) / median / 1e6, len(body) / copied / 1e6)
            rows.append(
                Row(f"4 MiB of {what}: {step}", "MB/s", *rates, "a copy in memory", more_is_better=True)
            )
    return rows


def main(arguments: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory(dir=arguments[0] if arguments else ".") as made:
        folder = Path(made)
        (folder / "secrets").mkdir()
        (folder / "secrets" / "commune-master.key").write_text(hashlib.sha256(os.urandom(32)).hexdigest())
        config = Config(state=folder)
        rows = in_memory(config) + asyncio.run(through_the_disk(folder, config))
    print("\n".join(table(rows)))


if __name__ == "__main__":
    main(sys.argv[1:])
