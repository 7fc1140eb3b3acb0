"""The drive's metadata as a commune grows, and as many communes are open: what one operation costs, as a ratio.

Rule:    all sizes are measured in one run, each on a database of its own; ``ours`` is the processor time of one
         operation in all threads of this process (the disk is the same for all), ``peer`` the same at the smallest
         size, so that ``ratio`` is peer / ours: 1 means that growth costs nothing.
         ``singly`` and ``grouped`` are the same changes one flush of the disk each, and up to 256 a flush, in time on
         the clock.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from beffroi.drive.store import look, moments, schema, trash, tree, versions
from beffroi.drive.store.commune import MOST_OPEN, Communes
from beffroi.drive.store.database import Database
from beffroi.drive.store.manifest import Chunk, Manifest
from beffroi.drive.store.model import Act, Content, InlineChunk
from beffroi.drive.store.sqlite import SqliteDatabase
from beffroi.drive.store.writing import Writing
from beffroi.lib.ids import new_id
from blake3 import blake3

from bench import drive_words
from bench.rows import Row

NOW_S = 1_800_000_000
FILES_A_FOLDER = 100
FILL_A_CHANGE = 500
SMALLEST = 1_000
Operation = Callable[[int], object]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--million", action="store_true", help="also with 1,000,000 files")
    parser.add_argument("--operations", type=int, default=300, help="of each kind (default 300)")
    parser.add_argument("--directory", type=Path, help="on which disk (default: that of temporary files)")


def run(say: Callable[[str], None], options: argparse.Namespace) -> list[Row]:
    sizes = [SMALLEST, 10_000, 100_000, *([1_000_000] if options.million else [])]
    communes = [10, 700]
    return growth(say, sizes, communes, operations=options.operations, directory=options.directory)


def growth(
    say: Callable[[str], None],
    sizes: Sequence[int],
    communes: Sequence[int],
    *,
    operations: int,
    directory: Path | None,
) -> list[Row]:
    """``sizes``: files of one commune; ``communes``: how many are written in turn; the others beside the first."""
    measured: dict[int, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(dir=directory) as place, ThreadPoolExecutor(4) as pool:
        for files in sizes:
            say(f"{files} files ...")
            database = SqliteDatabase(Path(place) / f"{files}.db", pool)
            folders = _fill(database, files)
            measured[files] = _searches(database, files, operations) | _operations(
                database, folders, operations
            )
            database.close()
        say("many communes ...")
        opened = Communes(Path(place) / "communes", pool, most_open=MOST_OPEN)
        many = {count: _communes(opened, count, operations) for count in communes}
        opened.close()
    rows = [
        Row(f"{name}, {files} files", "µs", us, measured[sizes[0]][name], f"{sizes[0]} files")
        for name in measured[sizes[0]]
        for files, us in ((files, of[name]) for files, of in measured.items())
    ]
    rows += [
        Row(f"put in turn, {count} communes", "µs", us, many[communes[0]], f"{communes[0]} communes")
        for count, us in many.items()
    ]
    return rows


def _act(now_s: int = NOW_S) -> Act:
    return Act("per_bench", "app_bench", now_s)


def _content(number: int) -> Content:
    data = b"%020d" % number
    chunk_id = blake3(data).digest()
    return Content(
        len(data),
        "",
        "",
        Manifest((Chunk(chunk_id, len(data)),)).pack(),
        (InlineChunk(chunk_id, lambda: data),),
    )


def _fill(database: Database, files: int) -> list[int]:
    """Folders of FILES_A_FOLDER files each; return their identifiers."""
    root = database.write(lambda w: tree.make_root(w, schema.COMMON, now_s=NOW_S)).id
    folders: list[int] = []

    def some(writing: Writing, start: int) -> None:
        for number in range(start, min(start + FILL_A_CHANGE, files)):
            if number % FILES_A_FOLDER == 0:
                folders.append(tree.make_folder(writing, _act(), root, f"d{number // FILES_A_FOLDER}").id)
            tree.put(writing, _act(), folders[-1], f"f{number}", _content(number))

    for start in range(0, files, FILL_A_CHANGE):
        database.write(lambda w, start=start: some(w, start))  # type: ignore[misc]
    return folders


def _searches(database: Database, files: int, count: int) -> dict[str, float]:
    """Median microseconds of one question of each kind, all files indexed."""
    with database.reading() as reading:
        root = look.root(reading, schema.COMMON)
        assert root is not None
    drive_words.fill(database, root.id)
    asked = drive_words.operations(database, root.id, files)
    return {name: _median(operation, count) for name, operation in asked.items()}


def _operations(database: Database, folders: list[int], count: int) -> dict[str, float]:
    """Median microseconds of one operation of each kind."""
    dice = random.Random(1)
    act = _act(NOW_S + 10)
    fresh = 10**9

    def files() -> list[int]:
        with database.reading() as reading:
            return [look.children(reading, dice.choice(folders))[0].id for _ in range(count)]

    def listed(_: int) -> object:
        with database.reading() as reading:
            return look.children(reading, dice.choice(folders))

    def walked(_: int) -> object:
        with database.reading() as reading:
            return look.path_of(reading, dice.choice(some))

    def put(number: int) -> object:
        return database.write(
            lambda w: tree.put(w, act, dice.choice(folders), f"n{number}", _content(fresh + number))
        )

    def rewritten(number: int) -> object:
        return database.write(lambda w: tree.put(w, act, folders[0], "again", _content(-number - 1)))

    def moved(number: int) -> object:
        return database.write(lambda w: tree.move(w, act, some[number], dice.choice(folders), f"m{number}"))

    def restored(number: int) -> object:
        kept = versions_of_again[number % len(versions_of_again)]
        return database.write(lambda w: versions.restore(w, act, kept.node, kept.etag))

    def deleted(number: int) -> object:
        return database.write(lambda w: tree.delete(w, act, some[number]))

    def returned(number: int) -> object:
        root = roots
        return database.write(lambda w: trash.restore(w, act, root, some[number]))

    def past(_: int) -> object:
        with database.reading() as reading:
            return moments.Moment(reading, NOW_S + 5).children(folders[0])

    some = list(dict.fromkeys(files()))
    with database.reading() as reading:
        found = look.root(reading, schema.COMMON)
        assert found is not None
        roots = found.id
    out = {
        "list 100 files": _median(listed, count),
        "path of a file": _median(walked, count),
        "put a new file": _median(put, count),
        "write a file again": _median(rewritten, count),
    }
    with database.reading() as reading:
        again = look.child(reading, folders[0], "again")
        assert again is not None
        versions_of_again = versions.of(reading, again.id)
    out["restore a version"] = _median(restored, count)
    out["move a file"] = _median(moved, len(some))
    out["delete a file"] = _median(deleted, len(some))
    out["bring it back"] = _median(returned, len(some))
    out["a folder as it was, after these changes"] = _median(past, 20)
    out["put, singly"] = _rate(lambda: [put(10**6 + n) for n in range(count)], count)
    few = folders[: SMALLEST // FILES_A_FOLDER]  # each folder's etag is a cost of its own
    out["put, grouped"] = _rate(lambda: _grouped(database, few, count), count)
    return out


def _grouped(database: Database, folders: list[int], count: int) -> None:
    act = _act(NOW_S + 10)
    waiting = [
        database.submit(
            lambda w, n=n: tree.put(w, act, folders[n % len(folders)], f"g{n}", _content(10**12 + n))  # type: ignore[misc]
        )
        for n in range(count)
    ]
    for one in waiting:
        one.result()


def _communes(communes: Communes, count: int, operations: int) -> float:
    """Microseconds of one put, in each of so many communes in turn, all of which were written before."""
    ids = [new_id("col") for _ in range(count)]
    roots = [
        communes.metadata(one).write(lambda w: tree.make_root(w, schema.COMMON, now_s=NOW_S)).id
        for one in ids
    ]

    def put(number: int) -> object:
        at = number % count
        return communes.metadata(ids[at]).write(
            lambda w: tree.put(w, _act(), roots[at], f"f{number}", _content(number))
        )

    turns = -(-operations // count)
    _median(put, count)  # what was opened to be made has no statement ready yet
    return _median(lambda number: put(count + number), turns * count)


def _median(operation: Operation, count: int) -> float:
    times = []
    for number in range(count):
        begin = time.process_time()
        operation(number)
        times.append(time.process_time() - begin)
    return round(sorted(times)[len(times) // 2] * 1e6, 1)


def _rate(whole: Callable[[], object], count: int) -> float:
    begin = time.perf_counter()
    whole()
    return round((time.perf_counter() - begin) / count * 1e6, 1)
