"""The drive beside ``rclone serve webdav``: small files, a large folder, a large file.

Purpose: the same requests over the same kind of socket in the same run. Ours encrypts, keeps versions, and answers when
         a change is on the disk; the peer writes plain files and leaves the rest to the kernel.
Process: any user; everything lies in a directory that is removed.
Fails:   without rclone the peer's figures are missing, with the reason.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import http.client
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from beffroi.drive import projections
from beffroi.lib import ids
from beffroi.lib.config import STATE_VARIABLE, Config

from bench.rows import Row

SMALL_BYTES, ENTRIES = 10_000, 5_000
START_LIMIT_S = 30.0
LOGIN, PASSWORD = "bench@example.test", secrets.token_hex(16)
WISH = b"".join(
    (
        b'<d:propfind xmlns:d="DAV:"><d:prop><d:resourcetype/><d:getlastmodified/>',
        b"<d:getcontentlength/><d:getetag/></d:prop></d:propfind>",
    )
)
_BASIC = "Basic " + b64encode(f"{LOGIN}:{PASSWORD}".encode()).decode()


@dataclass(frozen=True)
class Server:
    """``base``: path of the person's root."""

    socket: Path
    base: str

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> bytes:
        line = _Line(self.socket)
        with contextlib.closing(line):
            line.request(method, self.base + path, body, {"Authorization": _BASIC, **headers})  # type: ignore[arg-type]
            answer = line.getresponse()
            data = answer.read()
            assert answer.status < 300, (method, answer.status)
            return data


class _Line(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=300, blocksize=1 << 20)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


@contextlib.contextmanager
def _started(argv: tuple[str, ...], path: Path | None, environment: dict[str, str]) -> Iterator[None]:
    """``path``: the socket on which it serves; None for one that serves nobody."""
    process = subprocess.Popen(
        argv, env=os.environ | environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        end = time.monotonic() + START_LIMIT_S
        while path is not None:
            with contextlib.suppress(OSError), contextlib.closing(_Line(path)) as line:
                line.connect()
                break
            assert process.poll() is None and time.monotonic() < end, argv[0]
            time.sleep(0.05)
        yield
    finally:
        process.kill()
        process.wait(20)


@contextlib.contextmanager
def ours(directory: Path) -> Iterator[Server]:
    config = Config(state=directory)
    for name in ("run", "secrets", "drive"):
        (directory / name).mkdir(parents=True)
    for name in ("commune-master.key", "drive-grant.key"):
        (directory / "secrets" / name).write_text(secrets.token_hex(32))
    row = projections.Row(
        sha256=hashlib.sha256(PASSWORD.encode()).hexdigest(),
        app_password_id=ids.new_id("apw"),
        person_id=ids.new_id("per"),
        membership_id=ids.new_id("mem"),
        collectivite_id=ids.new_id("col"),
        role="agent",
        login=LOGIN,
        display_name="Bench",
    )
    projections.put(config, row)
    path = directory / "run" / "drive.sock"
    environment = {STATE_VARIABLE: str(directory)}
    with (
        _started((sys.executable, "-m", "beffroi.drive.sentry"), None, environment),
        _started((sys.executable, "-m", "beffroi.drive"), path, environment),
    ):
        yield Server(path, "/remote.php/webdav")


@contextlib.contextmanager
def rclone(directory: Path) -> Iterator[Server]:
    (directory / "files").mkdir(parents=True)
    path = directory / "rclone.sock"
    program = str(Path(sys.executable).with_name("rclone"))
    argv = (program, "--config", "", "serve", "webdav", str(directory / "files"), "--addr", f"unix://{path}")
    with _started((*argv, "--user", LOGIN, "--pass", PASSWORD), path, {}):
        yield Server(path, "")


async def _writer(server: Server, names: list[str], body: bytes) -> None:
    reader, writer = await asyncio.open_unix_connection(str(server.socket))
    for name in names:
        head = f"PUT {server.base}{name} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {_BASIC}\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        line = await reader.readline()
        assert line.split()[1] in (b"201", b"204"), line
        length = 0
        while (header := await reader.readline()) != b"\r\n":
            if header.lower().startswith(b"content-length:"):
                length = int(header.partition(b":")[2])
        await reader.readexactly(length)
    writer.close()


def small_files(server: Server, clients: int, count: int) -> float:
    """Files a second."""
    folder, body = f"/small-{clients}", secrets.token_bytes(SMALL_BYTES)
    server.ask("MKCOL", folder)
    dealt = [[f"{folder}/{number}" for number in range(first, count, clients)] for first in range(clients)]

    async def write() -> None:
        await asyncio.gather(*(_writer(server, names, body) for names in dealt))

    since = time.perf_counter()
    asyncio.run(write())
    return count / (time.perf_counter() - since)


def listing_ms(server: Server) -> float:
    """The quickest of five."""
    server.ask("MKCOL", "/many")
    names = [[f"/many/{number:05}" for number in range(first, ENTRIES, 8)] for first in range(8)]

    async def fill() -> None:
        await asyncio.gather(*(_writer(server, some, b"x") for some in names))

    asyncio.run(fill())
    times = []
    for _ in range(5):
        since = time.perf_counter()
        found = server.ask("PROPFIND", "/many/", WISH, Depth="1")
        times.append((time.perf_counter() - since) * 1000)
        assert found.lower().count(b"response>") == 2 * (ENTRIES + 1)
    return min(times)


def large_file(server: Server, size_bytes: int) -> tuple[float, float]:
    """Seconds up and down."""
    piece = secrets.token_bytes(1 << 20)
    count = size_bytes // len(piece)
    pieces = (piece[number % 977 :] + piece[: number % 977] for number in range(count))
    since = time.perf_counter()
    server.ask("PUT", "/large", pieces, **{"Content-Length": str(count * len(piece))})
    up_s = time.perf_counter() - since
    since = time.perf_counter()
    assert len(server.ask("GET", "/large")) == count * len(piece)
    return up_s, time.perf_counter() - since


def _measured(
    kind: Callable[[Path], contextlib.AbstractContextManager[Server]],
    directory: Path,
    options: argparse.Namespace,
) -> dict[str, float]:
    with kind(directory) as server:
        found = {f"put-{clients}": small_files(server, clients, options.files) for clients in (8, 32)}
        found["list"] = listing_ms(server)
        found["up"], found["down"] = large_file(server, options.megabytes * 1_000_000)
        return found


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--files", type=int, default=2000, help="small files for each number of clients")
    parser.add_argument("--megabytes", type=int, default=500, help="size of the large file")


def run(say: Callable[[str], None], options: argparse.Namespace) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="bfdrive-") as place:
        say("ours")
        mine = _measured(ours, Path(place) / "ours", options)
        say("rclone serve webdav")
        peer = _measured(rclone, Path(place) / "peer", options)
    name, megabytes = "rclone serve webdav", options.megabytes

    def row(work: str, unit: str, key: str, *, more_is_better: bool = False) -> Row:
        return Row(work, unit, round(mine[key], 2), round(peer[key], 2), name, more_is_better=more_is_better)

    return [
        row("PUT of 10 kB, 8 clients", "1/s", "put-8", more_is_better=True),
        row("PUT of 10 kB, 32 clients", "1/s", "put-32", more_is_better=True),
        row(f"PROPFIND of {ENTRIES} entries, 4 properties", "ms", "list"),
        row(f"PUT of {megabytes} MB", "s", "up"),
        row(f"GET of {megabytes} MB", "s", "down"),
    ]
