"""The indicators of each source as files under STATE/sources: what is in force, what is held, what is evidence.

Process: sources writes; worker reads ``evidence`` through a memory map.
Format:  ``entries/SOURCE`` and ``held/SOURCE``: ``kind TAB value TAB last_named TAB valid_until`` a line (held:
         ``-KIND`` withdraws). ``evidence/SOURCE.KIND``: canonical values, as a bulk list (docs/internals/feed.md).
Fails:   OSError; a file is there whole or not at all. A missing one is empty.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from beffroi_protocol import lists
from beffroi_protocol.indicators import Indicator, Kind

from beffroi.lib import durable
from beffroi.watch.sources import handover


def entries_file(state: Path, source_id: str) -> Path:
    return handover.root(state) / "entries" / source_id


def held_file(state: Path, source_id: str) -> Path:
    return handover.root(state) / "held" / source_id


def read(path: Path) -> dict[str, tuple[int, int]]:
    """Return {"kind TAB value": (last_named, valid_until)}."""
    found: dict[str, tuple[int, int]] = {}
    try:
        file = path.open(encoding="utf-8", newline="\n")
    except FileNotFoundError:
        return found
    with file:
        for line in file:
            try:
                key, last, until = line.rsplit("\t", 2)
                found[key] = (int(last), int(until))
            except ValueError:
                continue  # our own file, damaged: the next update brings what is missing
    return found


def write(path: Path, entries: Mapping[str, tuple[int, int]]) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    durable.write(path, (f"{key}\t{last}\t{until}\n".encode() for key, (last, until) in entries.items()))


def forget_held(state: Path, *, but: Iterable[str]) -> None:
    """Remove what was held of every update but these."""
    kept = set(but)
    for path in (handover.root(state) / "held").glob("upd_*"):
        if path.name not in kept:
            path.unlink(missing_ok=True)


def by_kind(entries: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key in entries:
        kind, _, value = key.partition("\t")
        found.setdefault(kind, []).append(value)
    return found


def write_evidence(state: Path, source_id: str, values: Mapping[str, list[str]]) -> None:
    """Replace what the source gives as evidence; an empty mapping takes it away."""
    directory = handover.root(state) / "evidence"
    directory.mkdir(mode=0o700, exist_ok=True)
    for kind, some in values.items():
        durable.write(directory / f"{source_id}.{kind}", [lists.content(some)])
    for path in directory.glob(f"{source_id}.*"):
        if path.suffix[1:] not in values:
            path.unlink(missing_ok=True)


def evidence(state: Path) -> Iterator[tuple[str, lists.ListIndex, Kind]]:
    """Yield (source, index, kind) of each list that gives evidence."""
    for path in sorted((handover.root(state) / "evidence").glob("src_*.*")):
        try:
            stat = path.stat()
            yield path.stem, _index(path, stat.st_mtime_ns, stat.st_ino), Kind(path.suffix[1:])
        except (OSError, ValueError):
            continue  # replaced or taken away meanwhile


@lru_cache(maxsize=64)
def _index(path: Path, _changed_ns: int, _inode: int) -> lists.ListIndex:
    with path.open("rb") as file:
        buffer = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return lists.ListIndex(buffer, Kind(path.suffix[1:]))


def matches(index: lists.ListIndex, kind: Kind, indicator: Indicator) -> bool:
    """Whether this very indicator is listed; a name also when a parent of it is."""
    if kind is Kind.DOMAIN and indicator.kind is Kind.DOMAIN:
        return index.match_name(indicator.value) is not None
    return index.match(indicator)


def forget(state: Path, source_id: str) -> None:
    """Remove everything about a source."""
    entries_file(state, source_id).unlink(missing_ok=True)
    held_file(state, source_id).unlink(missing_ok=True)
    write_evidence(state, source_id, {})
    handover.forget(state, source_id)
