"""The drive's content layer in tests: a centre's state with keys, stores that misbehave, a real S3 server.

    python -m tests.fixtures_drive FOLDER

writes samples of today's formats: once for each version, then they are kept for good.
"""

from __future__ import annotations

import http.client
import itertools
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from beffroi.drive import removal
from beffroi.drive.store import keys
from beffroi.drive.store.chunking import chunk_id
from beffroi.drive.store.content import Content, Written
from beffroi.drive.store.keys import Keys
from beffroi.drive.store.manifest import Chunk, Manifest
from beffroi.drive.store.objects import Objects, Stored
from beffroi.drive.store.s3_objects import S3Place
from beffroi.drive.store.sealing import Bytes, Sealer
from beffroi.lib import ids
from beffroi.lib.config import Config
from blake3 import blake3

from tests.loopback import serving
from tests.waiting import PATIENCE_S, until_it_listens

RCLONE = Path(sys.executable).with_name("rclone")


def new_config(state: Path) -> Config:
    (state / "secrets").mkdir(parents=True)
    for name in ("commune-master.key", "drive-grant.key"):
        (state / "secrets" / name).write_text(secrets.token_hex(32))
    return Config(state=state)


def new_keys(state: Path) -> Keys:
    return keys.make(new_config(state), ids.new_id("col"))


def erase(config: Config, collectivite_id: str) -> None:
    """As the worker does, after two administrators agreed."""
    removal.destroy_keys(config, collectivite_id, by="adm_x adm_y")
    for _ in removal.remove_rest(config, collectivite_id):
        pass


def noise(size: int, seed: bytes = b"") -> bytes:
    """Bytes that no compression makes smaller, the same ones each time."""
    return blake3(seed).digest(size)


@dataclass
class Books:
    """What the metadata layer keeps, in memory: which chunks are referenced, and the small ones."""

    known: set[bytes] = field(default_factory=set)
    inline: dict[bytes, bytes] = field(default_factory=dict)
    asked: list[bytes] = field(default_factory=list)

    async def ask_known(self, names: Sequence[bytes]) -> Set[bytes]:
        self.asked += names
        return self.known & set(names)

    async def ask_inline(self, names: Sequence[bytes]) -> Mapping[bytes, Bytes]:
        return {name: self.inline[name] for name in names if name in self.inline}

    def commit(self, content: Content, written: Written) -> None:
        self.known |= {chunk.id for chunk in written.manifest.chunks}
        self.inline |= {name: content.sealed(name, data) for name, data in written.inline.items()}


async def write(
    content: Content, books: Books, body: bytes, *, step: int = 1 << 16, expected: bool = True
) -> Written:
    """Take a body in by pieces of ``step`` bytes, and commit it."""
    async with content.writer(books.ask_known, len(body) if expected else None) as writer:
        for at in range(0, len(body), step):
            await writer.feed(body[at : at + step])
        written = await writer.close()
    books.commit(content, written)
    return written


async def read(content: Content, books: Books, manifest: Manifest, *span: int) -> bytes:
    return b"".join([bytes(piece) async for piece in content.read(manifest, books.ask_inline, *span)])


class Faulty:
    """A store that does what ``script`` says before each operation (its name, the object's): raise, sleep, nothing.

    ``short``: what is read is cut to this share of its length.
    """

    def __init__(self, inner: Objects, script: Callable[[str, str], None], *, short: float = 1.0) -> None:
        self._inner, self._script, self._short = inner, script, short

    def put(self, name: str, data: Bytes) -> None:
        self._script("put", name)
        self._inner.put(name, data)

    def get(self, name: str, room: memoryview | None = None) -> Bytes:
        self._script("get", name)
        return self._cut(self._inner.get(name, room))

    def get_range(self, name: str, start: int, end: int) -> Bytes:
        self._script("get_range", name)
        return self._cut(self._inner.get_range(name, start, end))

    def exists(self, name: str) -> bool:
        self._script("exists", name)
        return self._inner.exists(name)

    def delete(self, name: str) -> None:
        self._script("delete", name)
        self._inner.delete(name)

    def list(self, collectivite_id: str) -> Iterator[Stored]:
        self._script("list", collectivite_id)
        return self._inner.list(collectivite_id)

    def sweep(self, older_than_s: float) -> int:
        return self._inner.sweep(older_than_s)

    def _cut(self, data: Bytes) -> Bytes:
        return data if self._short == 1.0 else data[: int(len(data) * self._short)]


@contextmanager
def s3_server(folder: Path) -> Iterator[S3Place]:
    """A real S3 server (rclone serve s3) on loopback over a directory; its one bucket is called ``coffre``.

    It sends the bytes of a range with status 200, where S3 says 206: ``with_partial_answers`` puts that right.
    """
    (folder / "coffre").mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    access, secret = secrets.token_hex(8), secrets.token_hex(16)
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "RCLONE_AUTH_KEY": f'"{access},{secret}"'}
    command = (RCLONE, "serve", "s3", "--config", "", "--addr", f"127.0.0.1:{port}", folder)
    with (folder.with_suffix(".log")).open("wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        until_it_listens(port, server)
        yield S3Place("coffre", "a", f"http://127.0.0.1:{port}", "us-east-1", access, secret)
    finally:
        server.terminate()
        server.wait(PATIENCE_S)


@contextmanager
def with_partial_answers(place: S3Place) -> Iterator[S3Place]:
    """The same server behind a door that says 206 for a range, and changes nothing else."""
    with _door(place, lambda path, data: data) as found:
        yield found


@contextmanager
def with_others_keys(place: S3Place, *keys: str) -> Iterator[S3Place]:
    """The same server behind a door that says, in each part of a list, that these keys are in the folder, too; of
    the folders in it, that one has no name."""

    def change(path: str, data: bytes) -> bytes:
        asked = dict(parse_qsl(urlsplit(path).query))
        if "list-type" not in asked:
            return data
        if "delimiter" in asked:
            more = f"<CommonPrefixes><Prefix>{asked.get('prefix', '')}/</Prefix></CommonPrefixes>"
            return data.replace(b"</ListBucketResult>", f"{more}</ListBucketResult>".encode())
        more = "".join(
            f"<Contents><Key>{asked['prefix']}{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
            "<ETag>&quot;e&quot;</ETag><Size>7</Size></Contents>"
            for key in keys
        )
        return data.replace(b"</ListBucketResult>", f"{more}</ListBucketResult>".encode())

    with _door(place, change) as found:
        yield found


@contextmanager
def with_repeated_tokens(place: S3Place, *, turns: int = 1) -> Iterator[S3Place]:
    """The same server behind a door that answers each question for a list by its first part, and says that there is
    more; it names so many tokens in turn."""
    asked, first = itertools.count(), list[bytes]()

    def change(path: str, data: bytes) -> bytes:
        if "list-type" not in dict(parse_qsl(urlsplit(path).query)):
            return data
        token = f"again{next(asked) % turns}"
        more = f"<NextContinuationToken>{token}</NextContinuationToken></ListBucketResult>"
        first.append(data)
        return first[0].replace(b"</ListBucketResult>", more.encode())

    with _door(place, change, hidden=400) as found:
        yield found


@contextmanager
def _door(place: S3Place, change: Callable[[str, bytes], bytes], *, hidden: int = 0) -> Iterator[S3Place]:
    """``hidden``: a status that is said to be 200."""
    inner = urlsplit(place.endpoint)

    class Door(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            line = http.client.HTTPConnection(inner.hostname or "", inner.port, timeout=PATIENCE_S)
            line.request(self.command, self.path, body, dict(self.headers))
            answer = line.getresponse()
            data = change(self.path, answer.read()) if self.command == "GET" else answer.read()
            status = 200 if answer.status == hidden else answer.status
            self.send_response_only(206 if answer.getheader("Content-Range") else status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                    self.send_header(name, value)
            length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(data))
            if length is not None:
                self.send_header("Content-Length", length)
            self.end_headers()
            self.wfile.write(data)
            line.close()

        do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _pass  # noqa: N815 - names of http.server

    with serving(Door) as port:
        yield replace(place, endpoint=f"http://127.0.0.1:{port}")


SAMPLE_COLLECTIVITE = "col_" + "0" * 26
SAMPLES = {
    "small": "Délibération n° 1\n".encode(),
    "text": "Le conseil municipal, après en avoir délibéré, décide.\n".encode() * 60,
    "frames": noise((1 << 18) + 5000, b"frames"),
}
"""Bodies of the samples, by name; ``small`` is sealed by generation 1, the others by generation 2."""


def write_samples(folder: Path) -> None:
    config = new_config(folder)
    mine = keys.make(config, SAMPLE_COLLECTIVITE)
    chunks = []
    for name, body in SAMPLES.items():
        if name == "text":
            mine.rotate()
        identifier = chunk_id(mine.naming(), body)
        chunks.append(Chunk(identifier, len(body)))
        (folder / f"{name}.sealed").write_bytes(Sealer(mine).seal(identifier, body))
    (folder / "manifest").write_bytes(Manifest(tuple(chunks)).pack())
    other = keys.make(config, "col_" + "1" * 26)
    other.erase("usr_sample")


if __name__ == "__main__":
    write_samples(Path(sys.argv[1]))
