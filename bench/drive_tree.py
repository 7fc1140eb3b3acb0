"""The drive's metadata as a commune grows, and as many communes are open: what one operation costs, as a ratio.

Rule:    all sizes are measured in one run, each on a database of its own, one after the other: a million files take
         1.5 GB of the disk and 1 GB of memory. ``ours`` is the processor time of one
         operation in all threads of this process (the disk is the same for all), ``peer`` the same at the smallest
         size, so that ``ratio`` is peer / ours: 1 means that growth costs nothing.
         ``singly`` and ``grouped`` are the same changes one flush of the disk each, and up to 256 a flush, in time on
         the clock.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from beffroi.drive.store import schema, tree
from beffroi.drive.store.commune import MOST_OPEN, Communes
from beffroi.drive.store.database import Database
from beffroi.drive.store.sqlite import SqliteDatabase
from beffroi.lib.ids import new_id

from bench import drive_fill, drive_ways, drive_words
from bench.drive_fill import NOW_S, act, content
from bench.rows import Row

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
            path = Path(place) / f"{files}.db"
            database = SqliteDatabase(path, pool)
            measured[files] = _everything(database, files, operations, say)
            database.close()
            path.unlink()
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


def _everything(database: Database, files: int, count: int, say: Callable[[str], None]) -> dict[str, float]:
    """Median microseconds of one operation of each kind, and of one file in each sweep."""
    filled = drive_fill.fill(database, files, say)
    found: dict[str, float] = {}
    for name, operation in drive_words.operations(database, filled.root, files).items():
        found[name] = _median(operation, count)
    for name, operation in drive_ways.operations(database, filled, count).items():
        found[name] = _median(operation, count)
    for name, sweep in drive_ways.sweeps(database).items():
        begin = time.process_time()
        sweep()
        found[f"{name}, each file"] = round((time.process_time() - begin) / files * 1e6, 2)
    found["put, singly"] = _rate(lambda: [drive_ways.put(database, filled, n) for n in range(count)], count)
    few = filled.folders[: SMALLEST // drive_fill.FILES_A_FOLDER]  # each folder's etag is a cost of its own
    found["put, grouped"] = _rate(lambda: _grouped(database, few, count), count)
    return found


def _grouped(database: Database, folders: list[int], count: int) -> None:
    later = act(NOW_S + 10)
    waiting = [
        database.submit(
            lambda w, n=n: tree.put(w, later, folders[n % len(folders)], f"g{n}", content(10**12 + n))  # type: ignore[misc]
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
            lambda w: tree.put(w, act(), roots[at], f"f{number}", content(number))
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
