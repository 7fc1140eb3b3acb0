"""How long a hash that became bad is looked for in the index of every collectivité, and frozen where it lies."""

from __future__ import annotations

import argparse
import hashlib
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from beffroi.drive.store import frozen, schema, tree
from beffroi.drive.store.commune import MOST_OPEN, Communes
from beffroi.drive.store.manifest import Chunk, Manifest
from beffroi.drive.store.model import Act, Content, InlineChunk
from beffroi.drive.store.writing import Writing
from beffroi.lib.ids import new_id

from bench.rows import Row

BAD = hashlib.sha256(b"bad").hexdigest()
ACT = Act("per_bench", "", 1)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--communes", type=int, default=700)
    parser.add_argument("--files", type=int, default=1000, help="in each")


def run(say: Callable[[str], None], options: argparse.Namespace) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="bench-") as place, ThreadPoolExecutor(2) as pool:
        communes = Communes(Path(place), pool, most_open=MOST_OPEN)
        try:
            return _run(say, communes, options)
        finally:
            communes.close()


def _run(say: Callable[[str], None], communes: Communes, options: argparse.Namespace) -> list[Row]:
    names = [new_id("col") for _ in range(options.communes)]
    say(f"{options.files} files in each of {len(names)} communes")
    for number, name in enumerate(names):
        communes.metadata(name).write(lambda w, n=number: _fill(w, options.files, bad=n % 7 == 0))  # type: ignore[misc]
    say("the search")
    found, began = 0, time.monotonic()
    for name in communes.ids():
        database = communes.metadata(name)
        with database.reading() as reading:
            there = frozen.count(reading, BAD)
        if any(there):
            found += there.files
            database.write(lambda w: frozen.freeze(w, sha256=BAD, decision_id="dec_bench", now_s=1))
    took_ms = round(1000 * (time.monotonic() - began))
    words = f"{found} files of one hash found and frozen among {options.files * len(names)} of {len(names)} communes"
    return [Row(words, "ms", took_ms)]


def _fill(writing: Writing, files: int, *, bad: bool) -> None:
    root = tree.make_root(writing, schema.COMMON, now_s=1)
    for number in range(files):
        text = f"{root.id}:{number}".encode()
        sha256 = BAD if bad and number == 0 else hashlib.sha256(text).hexdigest()
        name = hashlib.blake2s(text).digest()
        inline = (InlineChunk(name, lambda: b"sealed"),)
        manifest = Manifest((Chunk(name, 10_000),)).pack()
        content = Content(10_000, "", sha256, manifest, inline)
        tree.put(writing, ACT, root.id, f"{number}.pdf", content)
