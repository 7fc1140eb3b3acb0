"""The drive as a commune grows, asked over HTTP as programs ask it: what one request costs, as a ratio.

Rule:    a server a size, all at once, asked in turn by one client over a kept connection, in rounds of which the median
         counts; ``put, 8 clients`` as in `bench drive`. ``ours``: processor time of all processes of the server, a
         request; ``peer``: the same at the smallest size, so that ``ratio`` is peer / ours and 1 means that growth
         costs nothing. The disk is the same for all. What the metadata alone cost is `bench drive-tree`.
Process: any user; everything lies in a directory that is removed. A million files take 1.5 GB of it.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import random
import secrets
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from beffroi.drive.store import keys
from beffroi.drive.store.commune import Communes
from beffroi.drive.store.look import path_of
from beffroi.drive.store.stock import stocks
from beffroi.drive.who import Who
from beffroi.drive.words.indexer import Indexer
from beffroi.lib.config import Config

from bench import drive_fill, drive_peers, drive_work
from bench.drive_peers import BASIC, LOGIN, Server
from bench.rows import Row

SMALLEST, LARGE, MILLION = 1_000, 100_000, 1_000_000
MOST = 1.3
"""How much more a request may cost in the largest commune than in the smallest."""
CLIENTS = 8
_FILES = "SELECT name FROM node WHERE parent = ? AND is_folder = 0 ORDER BY id LIMIT 50"
Request = tuple[str, str, bytes, dict[str, str]]
"""Method, path, body, headers."""


@dataclass(frozen=True)
class Grown:
    """A server, and paths below its base: of folders of a hundred files each; names of some of these files.

    ``settle``: what `drive-keeper` does: bring the index up to what was written."""

    server: Server
    folders: list[str]
    names: list[str]
    settle: Callable[[], None]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--million", action="store_true", help="also with 1,000,000 files")
    parser.add_argument("--requests", type=int, default=300, help="of each kind a round (default 300)")
    parser.add_argument("--rounds", type=int, default=5, help="of which the median counts (default 5)")
    parser.add_argument("--directory", type=Path, help="on which disk (default: that of temporary files)")


def run(say: Callable[[str], None], options: argparse.Namespace) -> list[Row]:
    sizes = [SMALLEST, LARGE, *([MILLION] if options.million else [])]
    found: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    with (
        tempfile.TemporaryDirectory(prefix="bfgrow-", dir=options.directory) as place,
        contextlib.ExitStack() as all_,
    ):
        grown = {}
        for size in sizes:
            say(f"{size} files ...")
            grown[size] = all_.enter_context(_grown(Path(place) / str(size), size, say))
        for turn in range(-1, options.rounds):  # the first one warms
            say(f"round {turn + 1} of {options.rounds}")
            for size in random.sample(sizes, len(sizes)):
                for name, us in _measured(grown[size], f"r{turn + 1}", options.requests):
                    if turn >= 0:
                        found[name][size].append(us)
    return [_row(name, size, of) for name, of in found.items() for size in sizes]


def _row(name: str, size: int, of: dict[int, list[float]]) -> Row:
    ours, least = (round(statistics.median(of[one]), 1) for one in (size, SMALLEST))
    target = round(MOST * least, 1) if size != SMALLEST else None
    return Row(f"{name}, {size} files", "µs", ours, least, f"{SMALLEST} files", target)


@contextlib.contextmanager
def _grown(place: Path, size: int, say: Callable[[str], None]) -> Iterator[Grown]:
    folders: list[str] = []
    names: list[str] = []
    whose: list[str] = []

    def fill(directory: Path, who: Who) -> None:
        whose.append(who.collectivite_id)
        with ThreadPoolExecutor(1) as pool, contextlib.closing(Communes(directory, pool)) as communes:
            database = communes.metadata(who.collectivite_id)
            filled = drive_fill.fill(database, size, say)
            with database.reading() as reading:
                folders.extend(f"/Commune/{path_of(reading, one)}" for one in filled.folders)
                some = filled.folders[:: max(1, len(filled.folders) // 10)]
                names.extend(row[0] for one in some for row in reading.all(_FILES, (one,)))

    place.mkdir()
    config = Config(state=place)
    with (
        drive_peers.serving(place, fill) as server,
        ThreadPoolExecutor(1) as pool,
        contextlib.closing(Communes(place / "drive", pool)) as communes,
    ):
        indexer = Indexer(communes, stocks(config), partial(keys.make, config), _nothing)

        def settle() -> None:
            while indexer.step(whose[0]):
                pass

        yield Grown(server, folders, names, settle)


def _measured(grown: Grown, turn: str, count: int) -> Iterator[tuple[str, float]]:
    """(what, processor microseconds of one request), one kind after the other."""
    server = grown.server
    for name, requests in _kinds(grown, turn, count).items():
        grown.settle()
        server.rest()
        before_us = _spent_us(server)
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)) as line:
            for method, path, body, headers in requests:
                line.request(method, path, body, {"Authorization": BASIC, **headers})
                answer = line.getresponse()
                length = len(answer.read())
                assert answer.status < 300, (method, path, answer.status)
                assert length or method not in ("GET", "PROPFIND", "SEARCH"), (method, path)
        yield name, (_spent_us(server) - before_us) / count
    server.rest()
    before_us = _spent_us(server)
    drive_work.small_files(server, turn, CLIENTS, 4 * count)
    yield f"put a new file, {CLIENTS} clients", (_spent_us(server) - before_us) / (4 * count)


def _kinds(grown: Grown, turn: str, count: int) -> dict[str, list[Request]]:
    dice, base = random.Random(turn), grown.server.base
    files = [f"{base}{dice.choice(grown.folders)}/{turn}-{number}" for number in range(count)]
    moved = [f"{base}{dice.choice(grown.folders)}/{turn}-{number}m" for number in range(count)]
    aims = [{"Destination": f"http://127.0.0.1:{grown.server.port}{one}"} for one in moved]

    def content() -> bytes:
        return secrets.token_bytes(drive_work.SMALL_BYTES)

    return {
        "put a new file": [("PUT", path, content(), {}) for path in files],
        "write it again": [("PUT", path, content(), {}) for path in files],
        "read it": [("GET", path, b"", {}) for path in files],
        "what has changed": [("PROPFIND", base + "/", drive_work.WISH, {"Depth": "0"}) for _ in files],
        "list a folder of a hundred": [
            ("PROPFIND", base + dice.choice(grown.folders), drive_work.WISH, {"Depth": "1"}) for _ in files
        ],
        "find a name": [("SEARCH", "/remote.php/dav", _wanted(dice.choice(grown.names)), {}) for _ in files],
        "move it": [("MOVE", path, b"", aim) for path, aim in zip(files, aims, strict=True)],
        "delete it": [("DELETE", path, b"", {}) for path in moved],
    }


def _wanted(name: str) -> bytes:
    return (
        '<d:searchrequest xmlns:d="DAV:"><d:basicsearch><d:select><d:prop><d:displayname/></d:prop></d:select>'
        f"<d:from><d:scope><d:href>/files/{LOGIN}</d:href><d:depth>infinity</d:depth></d:scope></d:from>"
        f"<d:where><d:eq><d:prop><d:displayname/></d:prop><d:literal>{name}</d:literal></d:eq></d:where>"
        "</d:basicsearch></d:searchrequest>"
    ).encode()


def _nothing(data: bytes) -> str:
    """The text of a document; what is written here is none."""
    return ""


def _spent_us(server: Server) -> float:
    """Of the processor, by all threads of its processes. Source: proc_pid_schedstat, the first number: nanoseconds."""
    ns = 0
    for pid in server.processes():
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                ns += int((task / "schedstat").read_text().split()[0])
    return ns / 1000
