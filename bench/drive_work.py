"""What `bench drive` measures of one server: seconds, milliseconds or rates of one turn.

Rule:    each turn works in names of its own, with contents that are new to the server; what clients cost is the same
         for all. A server that gives a wrong answer, or too little, fails the run.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from bench.drive_peers import BASIC, LOGIN, PASSWORD, RCLONE, Server

SMALL_BYTES = 10_000
PIECE_BYTES = 1 << 20
WISH = b"".join(
    (
        b'<?xml version="1.0"?><d:propfind xmlns:d="DAV:"><d:prop><d:resourcetype/><d:getlastmodified/>',
        b"<d:getcontentlength/><d:getetag/></d:prop></d:propfind>",
    )
)
CLIENT_LIMIT_S = 1800


class _Line:
    """One connection that is kept. A server may end it between two requests; then the request is sent again."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def put(self, path: str, body: bytes) -> None:
        head = f"PUT {self._server.base}{path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {BASIC}\r\n"
        message = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        while not (line := await self._sent(message)):
            self.close()
        assert line.split()[1] in (b"200", b"201", b"204"), (self._server.name, line)
        assert self._reader is not None
        length, ends = 0, False
        while header := (await self._reader.readline()).strip().lower():
            if header.startswith(b"content-length:"):
                length = int(header.partition(b":")[2])
            ends = ends or header == b"connection: close"
        await self._reader.readexactly(length)
        if ends:
            self.close()

    async def _sent(self, message: bytes) -> bytes:
        """The first line of the answer; empty where the connection had ended."""
        if self._reader is None or self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._server.port)
        self._writer.write(message)
        try:
            return await self._reader.readline()
        except ConnectionError:
            return b""

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None


async def _write(server: Server, paths: list[str], bodies: list[bytes]) -> None:
    with contextlib.closing(_Line(server)) as line:
        for path, body in zip(paths, bodies, strict=True):
            await line.put(path, body)


def small_files(server: Server, turn: str, clients: int, count: int) -> float:
    """Files a second, over one connection a client, each of which waits for its answer."""
    folder = f"/small-{clients}-{turn}"
    server.ask("MKCOL", folder)
    bodies = [secrets.token_bytes(SMALL_BYTES) for _ in range(count)]
    dealt = [
        ([f"{folder}/{number}" for number in range(first, count, clients)], bodies[first::clients])
        for first in range(clients)
    ]

    async def write() -> None:
        await asyncio.gather(*(_write(server, paths, some) for paths, some in dealt))

    since = time.perf_counter()
    asyncio.run(write())
    return count / (time.perf_counter() - since)


def listing_ms(server: Server, folder: str, entries: int) -> float:
    """The quickest of three."""
    times = []
    for _ in range(3):
        since = time.perf_counter()
        length = server.ask("PROPFIND", f"/{folder}/", WISH, Depth="1")
        times.append((time.perf_counter() - since) * 1000)
        assert length > 100 * entries, (server.name, length)
    return min(times)


FORGET = Path("/proc/sys/vm/drop_caches")
"""Where root asks the kernel to forget what it has of files (proc(5), drop_caches)."""


def large_file(server: Server, turn: str, size_bytes: int) -> tuple[float, ...]:
    """Seconds up, down, and, where the kernel can be made to forget the file, down from the disk."""
    noise = memoryview(os.urandom(67 * PIECE_BYTES))
    room = len(noise) - PIECE_BYTES

    def pieces() -> Iterator[memoryview]:
        for at in range(0, size_bytes, PIECE_BYTES):
            first = (at * 13 + at // room) % room  # no two chunks of it are the same
            yield noise[first : first + min(PIECE_BYTES, size_bytes - at)]

    since = time.perf_counter()
    server.ask("PUT", f"/large-{turn}", pieces(), **{"Content-Length": str(size_bytes)})
    took_s = [time.perf_counter() - since, _down(server, turn, size_bytes)]
    if os.access(FORGET, os.W_OK):
        os.sync()  # what is not on the disk yet cannot be forgotten
        FORGET.write_text("1")
        took_s.append(_down(server, turn, size_bytes))
    server.ask("DELETE", f"/large-{turn}")
    return tuple(took_s)


def _down(server: Server, turn: str, size_bytes: int) -> float:
    since = time.perf_counter()
    assert server.ask("GET", f"/large-{turn}") == size_bytes, server.name
    return time.perf_counter() - since


def tree(place: Path, count: int) -> Path:
    """Small files of noise in folders of a hundred."""
    for number in range(count):
        file = place / f"d{number // 100}" / f"f{number}.bin"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(secrets.token_bytes(SMALL_BYTES))
    return place


def rclone_copy(server: Server, turn: str, place: Path, count: int) -> tuple[float, float]:
    """Files a second up and down, eight at a time."""
    source, back = tree(place / "up", count), place / "down"
    up_s = _rclone(server, "copy", str(source), f"there:copied-{turn}")
    down_s = _rclone(server, "copy", f"there:copied-{turn}", str(back))
    assert _files(back) == count, server.name
    shutil.rmtree(place)
    return count / up_s, count / down_s


def _rclone(server: Server, *arguments: str) -> float:
    hidden = subprocess.run((RCLONE, "obscure", PASSWORD), capture_output=True, text=True, check=True).stdout
    environment = os.environ | {
        "RCLONE_CONFIG_THERE_TYPE": "webdav",
        "RCLONE_CONFIG_THERE_URL": server.url,
        "RCLONE_CONFIG_THERE_VENDOR": "other",
        "RCLONE_CONFIG_THERE_USER": LOGIN,
        "RCLONE_CONFIG_THERE_PASS": hidden.strip(),
    }
    eager = ("--webdav-pacer-min-sleep", "0", "--transfers", "8", "--checkers", "8")
    return _took_s((str(RCLONE), "--config", "", *eager, *arguments), environment)


def sync_client(server: Server, place: Path, count: int) -> tuple[float, float, float]:
    """Seconds of the real client: a device sends all, has nothing to do, and another one fetches all."""
    first, second = tree(place / "first", count), place / "second"
    second.mkdir()
    server.ask("MKCOL", f"/{place.name}")
    up_s, nothing_s, down_s = (_nextcloudcmd(server, place.name, one) for one in (first, first, second))
    assert _files(second) == count
    shutil.rmtree(place)
    return up_s, nothing_s, down_s


def _nextcloudcmd(server: Server, path: str, folder: Path) -> float:
    home = str(folder.with_suffix(".home"))
    environment = os.environ | {"HOME": home, "XDG_CONFIG_HOME": home, "QT_QPA_PLATFORM": "offscreen"}
    login = ("--user", LOGIN, "--password", PASSWORD)
    url = f"http://127.0.0.1:{server.port}"
    options = ("--non-interactive", "--path", f"/{path}", *login)
    return _took_s(("nextcloudcmd", *options, str(folder), url), environment)


def _files(place: Path) -> int:
    return sum(one.is_file() and not one.name.startswith(".") for one in place.rglob("*"))


def _took_s(argv: tuple[str, ...], environment: dict[str, str]) -> float:
    since = time.perf_counter()
    done = subprocess.run(
        argv,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=CLIENT_LIMIT_S,
    )
    assert done.returncode == 0, (argv[0], (done.stdout + done.stderr)[-1000:])
    return time.perf_counter() - since
