"""The drive beside file servers: small files, large folders, a large file, rclone, the sync client, memory, growth.

Rule:    all servers run at once and are asked in turn, in another order each round, each after the one before has come
         to rest; of the rounds the median counts. ``target``: the best peer of the same run (listings, 32 clients), or
         twice its time. Files of clients lie in memory: their disk, which the servers share, is not what is measured.
Process: any user; see ``drive_peers``. Everything lies in a directory that is removed; every process is ended.
Fails:   a peer that cannot run here has an empty column, and the reason.
"""

from __future__ import annotations

import argparse
import functools
import os
import shutil
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench import drive_peers, drive_tree, drive_work
from bench.drive_peers import Absent, Server
from bench.rows import Row, matrix, table

FIRST, WITHIN = 1.0, 2.0
IN_MEMORY = Path("/dev/shm")
"""A tmpfs, as any Debian has it; elsewhere clients keep their files beside the servers'."""
Found = dict["Work", dict[str, list[float]]]


@dataclass(frozen=True)
class Work:
    """``within``: how much worse than the best peer ours may be; None where no peer is meant."""

    name: str
    unit: str
    within: float | None = None
    more_is_better: bool = False


@dataclass(frozen=True)
class Turn:
    """``measure(server, turn)``: a value for each of ``works``. ``peers``: whether they can do it. ``is_large``: a
    server that takes minutes for it is measured once."""

    works: tuple[Work, ...]
    measure: Callable[[Server, str], Sequence[float]]
    peers: bool = True
    is_large: bool = False


NOW, PEAK = Work("memory of all its processes, at the end", "MB"), Work("memory, at most", "MB")


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--files", type=int, default=2000, help="small files a turn (default 2000)")
    parser.add_argument("--entries", type=_numbers, default="5000,50000", help="of folders (5000,50000)")
    parser.add_argument("--megabytes", type=int, default=500, help="size of the large file (default 500)")
    parser.add_argument("--rounds", type=int, default=3, help="of which the median counts (default 3)")
    parser.add_argument(
        "--peers", type=_peers, default=",".join(drive_peers.PEERS), help="which ones (default: all)"
    )
    parser.add_argument("--growth", type=_numbers, default="1000,100000", help="files of a commune; or empty")
    parser.add_argument("--communes", type=_numbers, default="10,700", help="written in turn, for the same")
    parser.add_argument(
        "--directory", type=Path, help="on which disk, where all may enter (default: of temporary files)"
    )


def _words(text: str) -> list[str]:
    return [one for one in text.split(",") if one]


def _peers(text: str) -> list[str]:
    names = _words(text)
    if unknown := set(names) - set(drive_peers.PEERS):
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)} (there are {', '.join(drive_peers.PEERS)})")
    return names


def _numbers(text: str) -> list[int]:
    return [int(one) for one in _words(text)]


def run(say: Callable[[str], None], options: argparse.Namespace) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="bfdrive-", dir=options.directory) as made, ExitStack() as stack:
        place = Path(made)
        place.chmod(0o755)  # Apache's workers have a user of their own
        clients = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="bfdrive-", dir=_clients(place)))
        )
        servers, absent = _servers(stack, place, options, say)
        found = _rounds(servers, _turns(clients, options), options.rounds, say)
        for server in servers:
            now, peak = server.memory_mb()
            found[NOW][server.name], found[PEAK][server.name] = [now], [peak]
        rows = _rows(servers, absent, found)
    if options.growth:
        rows += drive_tree.growth(
            say, options.growth, options.communes, operations=300, directory=options.directory
        )
    return rows


def _clients(place: Path) -> Path:
    return IN_MEMORY if os.access(IN_MEMORY, os.W_OK) else place


def _servers(
    stack: ExitStack, place: Path, options: argparse.Namespace, say: Callable[[str], None]
) -> tuple[list[Server], dict[str, str]]:
    """(those that run, ours first; why the others do not)."""
    folders = {f"many-{count}": count for count in options.entries}
    servers, absent = [stack.enter_context(drive_peers.ours(place / "ours", folders))], {}
    for number, name in enumerate(options.peers):
        say(f"starting {name}")
        try:
            servers.append(stack.enter_context(drive_peers.PEERS[name](place / f"peer-{number}", folders)))
        except Absent as error:
            absent[name] = str(error)
    return servers, absent


def _turns(folders: Path, options: argparse.Namespace) -> list[Turn]:
    files, megabytes = options.files, options.megabytes
    turns = []
    for clients, within in ((8, WITHIN), (32, FIRST)):
        work = Work(f"PUT of 10 kB, {clients} clients", "1/s", within, more_is_better=True)
        turns.append(Turn((work,), functools.partial(_small, clients, files)))
    for entries in options.entries:
        work = Work(f"PROPFIND of {entries:,} entries", "ms", FIRST)
        turns.append(Turn((work,), functools.partial(_listing, entries)))
    # Peers have what they just took in memory; of all that a département keeps, most is on the disk alone.
    ways = ("up", "down", *(("down from the disk",) if os.access(drive_work.FORGET, os.W_OK) else ()))
    large = tuple(Work(f"{megabytes} MB {way}", "s", WITHIN) for way in ways)
    turns.append(
        Turn(
            large, lambda server, turn: drive_work.large_file(server, turn, megabytes * 10**6), is_large=True
        )
    )
    copies = tuple(
        Work(f"rclone copy {way}, {files:,} files", "1/s", WITHIN, more_is_better=True)
        for way in ("up", "down")
    )
    turns.append(
        Turn(
            copies, lambda server, turn: drive_work.rclone_copy(server, turn, folders / f"copy-{turn}", files)
        )
    )
    if shutil.which("nextcloudcmd"):
        syncs = tuple(
            Work(f"nextcloudcmd, {files:,} files: {way}", "s") for way in ("up", "nothing to do", "down")
        )
        turns.append(
            Turn(
                syncs,
                lambda server, turn: drive_work.sync_client(server, folders / f"sync-{turn}", files),
                peers=False,
            )
        )
    return turns


def _small(clients: int, files: int, server: Server, turn: str) -> Sequence[float]:
    return (drive_work.small_files(server, turn, clients, files),)


def _listing(entries: int, server: Server, turn: str) -> Sequence[float]:
    return (drive_work.listing_ms(server, f"many-{entries}", entries),)


def _rounds(servers: list[Server], turns: list[Turn], rounds: int, say: Callable[[str], None]) -> Found:
    found: Found = defaultdict(lambda: defaultdict(list))
    for turn in turns:
        say(", ".join(work.name for work in turn.works))
        asked = servers if turn.peers else servers[:1]
        for number in range(rounds):
            for server in asked[number % len(asked) :] + asked[: number % len(asked)]:
                if number and turn.is_large and server.is_slow:
                    continue
                values = turn.measure(server, str(number))
                for work, value in zip(turn.works, values, strict=True):
                    found[work][server.name].append(value)
                server.rest()
    return found


def _rows(servers: list[Server], absent: dict[str, str], found: Found) -> list[Row]:
    """One for each work and peer. The target stands beside the best one."""
    notes = {server.name: server.durability for server in servers} | absent
    rows = []
    for work, by_server in found.items():
        medians = {name: _rounded(statistics.median(values)) for name, values in by_server.items()}
        mine, rounds = medians.pop("ours"), by_server["ours"]
        best = (max if work.more_is_better else min)(medians, key=lambda name: medians[name], default="")
        for name in [*medians, *(absent if medians else ())] or [""]:
            target = _target(work, medians[best]) if name and name == best else None
            spread = _rounded(max(rounds) / min(rounds)) if len(rounds) > 1 else None
            more, note = work.more_is_better, notes.get(name, "")
            peer = medians.get(name)
            rows.append(Row(work.name, work.unit, mine, peer, name, target, note, more, spread))
    return rows


def _target(work: Work, best: float) -> float | None:
    if work.within is None:
        return None
    return _rounded(best / work.within if work.more_is_better else best * work.within)


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")


def shown(rows: Sequence[Row]) -> list[str]:
    """A table of all servers, which docs/figures.md carries, then that of growth."""
    grown = [row for row in rows if row.unit == "µs"]
    beside = [row for row in rows if row.unit != "µs"]
    return [*matrix(beside), *(("", *table(grown)) if grown else ())]
