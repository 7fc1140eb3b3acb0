"""What a look at each version costs beside reading it and taking its SHA-256, which the drive does anyway.

Files: those of the tests, office files and all kinds, written to a temporary directory and read from the page cache.
Rule:  rounds alternate; the median of each is told. ``ours``: looks a second; ``peer``: read and hashed a second.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from beffroi.drive.guard.reading import InFile
from beffroi.drive.guard.structure import look

from bench.rows import Row
from tests.drive_files import MAKERS, OFFICE, made

_SEEDS = 8


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=9, help="of each, in turn (default 9)")


def run(say: Callable[[str], None], options: argparse.Namespace) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        rows = []
        for title, kinds in (("office files", OFFICE), ("all kinds", tuple(MAKERS))):
            say(f"drive-guard: {title}")
            paths = []
            for kind in kinds:
                for seed in range(_SEEDS):
                    path = Path(folder) / f"{title} {seed}.{kind}"
                    path.write_bytes(made(kind, seed))
                    paths.append(path)
            rows.append(_row(title, paths, options.rounds))
        rows += [
            _row(f"{kind} alone", sorted(Path(folder).glob(f"all*.{kind}")), options.rounds)
            for kind in OFFICE
        ]
        return rows


def _row(title: str, paths: list[Path], rounds: int) -> Row:
    times_s: tuple[list[float], list[float]] = [], []
    for _ in range(rounds):
        for number, work in enumerate((_look, _hash)):
            began_s = time.perf_counter()
            for path in paths:
                work(path)
            times_s[number].append(time.perf_counter() - began_s)
    ours_s, peer_s = (median(one) for one in times_s)
    mean_kb = sum(path.stat().st_size for path in paths) / len(paths) / 1000
    return Row(
        f"look at {title} (mean {mean_kb:.0f} kB)",
        "/s",
        len(paths) / ours_s,
        len(paths) / peer_s,
        "read and SHA-256",
        more_is_better=True,
    )


def _look(path: Path) -> None:
    with path.open("rb") as file:
        look(InFile(file), path.name, path.stat().st_size)


def _hash(path: Path) -> None:
    with path.open("rb") as file:
        hashlib.file_digest(file, "sha256")
