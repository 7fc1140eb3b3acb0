"""Folders of a town hall as changes of a drive, and what the judgement says of them, change by change."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache

import pyfastcdc
from beffroi.drive.guard.reading import InMemory
from beffroi.drive.guard.scoring import Alarm, Commune
from beffroi.drive.guard.signs import Change
from beffroi.drive.guard.structure import Structure, look

from tests.drive_files import OFFICE, made

START_S = 1_800_000_000.0


@cache
def seen(data: bytes, name: str, kind_before: str | None) -> Structure:
    return look(InMemory(data), name, len(data), kind_before)


@cache
def _chunks(data: bytes) -> frozenset[bytes]:
    cutter = pyfastcdc.FastCDC(64 * 1024, min_size=16 * 1024, max_size=256 * 1024)
    return frozenset(data[cut.offset : cut.offset + cut.length] for cut in cutter.cut_buf(data))


@dataclass
class File:
    node: str
    folder: str
    name: str
    data: bytes
    structure: Structure


@dataclass
class Folders:
    """A tree of files, and a clock that goes on by ``step_s`` with each change. ``lost``: nodes whose people's
    content is gone."""

    rng: random.Random
    step_s: float = 0.2
    now_s: float = START_S
    files: list[File] = field(default_factory=list)
    lost: set[str] = field(default_factory=set)
    _next: int = 0

    def put(self, folder: str, name: str, data: bytes) -> File:
        self._next += 1
        file = File(f"n{self._next}", folder, name, data, seen(data, name, None))
        self.files.append(file)
        return file

    def _at(self) -> float:
        self.now_s += self.step_s
        return self.now_s

    def create(self, folder: str, name: str, data: bytes) -> Change:
        file = self.put(folder, name, data)
        return Change(
            self._at(), file.node, folder, name, "created", after=file.structure, size_bytes=len(data)
        )

    def change(self, file: File, data: bytes, *, lost: bool = False) -> Change:
        after = seen(data, file.name, file.structure.kind or None)
        old, new = _chunks(file.data), _chunks(data)
        change = Change(
            self._at(),
            file.node,
            file.folder,
            file.name,
            "changed",
            before=file.structure,
            after=after,
            size_before_bytes=len(file.data),
            size_bytes=len(data),
            chunks_before=len(old),
            chunks_kept=len(old & new),
        )
        file.data, file.structure = data, after
        if lost:
            self.lost.add(file.node)
        return change

    def rename(self, file: File, name: str) -> Change:
        change = Change(
            self._at(), file.node, file.folder, name, "renamed", name_before=file.name, before=file.structure
        )
        file.name = name
        return change

    def delete(self, file: File, *, lost: bool = False) -> Change:
        if lost:
            self.lost.add(file.node)
        return Change(
            self._at(),
            file.node,
            file.folder,
            file.name,
            "deleted",
            before=file.structure,
            size_before_bytes=len(file.data),
            folders=_lay_in(file.folder),
        )


def _lay_in(folder: str) -> tuple[tuple[str, str], ...]:
    """(id, name), innermost first: a path is its own id, and "" that of the root."""
    found = [(folder, folder.rpartition("/")[2])]
    while folder:
        folder = folder.rpartition("/")[0]
        found.append((folder, folder.rpartition("/")[2]))
    return tuple(found)


def town_hall(seed: int, kinds: tuple[str, ...] = OFFICE) -> Folders:
    """240 files in 24 folders, in an order of their own."""
    rng = random.Random(f"town hall {seed}")
    folders = Folders(rng)
    for number in range(240):
        kind = rng.choice(kinds)
        folders.put(f"f{number // 10}", f"piece {number}.{kind}", made(kind, rng.randrange(8)))
    rng.shuffle(folders.files)
    return folders


Script = Callable[[Folders], Iterator[tuple[str, Change]]]
"""Yields (device, change) in the order in which they come."""
ONE = "device 1"


@dataclass(frozen=True)
class Outcome:
    """``files``: lost, or touched where none is lost, when the alarm came; None without one. ``since_s``: of the
    alarm."""

    files: int | None
    alarms: tuple[Alarm, ...] = ()


def run(script: Script, folders: Folders, *, restarts: bool = False) -> Outcome:
    """Feed the changes, all of one person, one by one until an alarm; ``restarts``: the state is saved and restored
    after each."""
    state, touched = Commune(), set()
    for device, change in script(folders):
        touched.add(change.node)
        if alarms := state.add(device, change, change.at_s, "somebody"):
            return Outcome(len(folders.lost) or len(touched), tuple(alarms))
        if restarts:
            state = Commune.restore(state.save())
    return Outcome(None)
