"""What a person's devices made that may stand for a file that they delete: their new files of the day, read once.

Purpose: "copy, encrypt, delete" is seen at the deletion, among the files that the devices created within a day: in its
         folder, or made there and moved away since, or of its name elsewhere. Ten thousand files that are deleted are
         compared with what was read at the first of them.
Process: sentry. What is held is of no worth: it is read again where it is not there.
Bounded: MOST_HELD files of all persons of a collectivité; whose deletion is longest ago goes first.
Source:  docs/internals/ransomware.md.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from beffroi.drive import journal
from beffroi.drive.guard.pairs import LONGER_BYTES, stem
from beffroi.drive.journal import Done, Made, Row
from beffroi.drive.store.writing import Reading

BESIDE = 16
"""New files that are looked at for one deletion."""
MOST_NEAR = 64
"""Of those as long as the deleted one or a little longer, the nearest: of these the newest are looked at."""
MOST_HELD = 200_000
DAY_S = 86400


@dataclass
class _Own:
    """Of one person. ``sizes``: (bytes, node) by folder, in order."""

    since_s: int
    made: dict[int, Made] = field(default_factory=dict)
    stems: defaultdict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    sizes: defaultdict[int, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))

    def add(self, one: Made) -> None:
        self.made[one.row.node] = one
        for name in _stems(one):
            self.stems[name].add(one.row.node)
        for folder in _folders(one):
            insort(self.sizes[folder], (one.size_bytes, one.row.node))

    def drop(self, node: int) -> None:
        one = self.made.pop(node, None)
        if one is None:
            return
        for name in _stems(one):
            self.stems[name].discard(node)
            if not self.stems[name]:
                del self.stems[name]
        for folder in _folders(one):
            sizes = self.sizes[folder]
            del sizes[bisect_left(sizes, (one.size_bytes, node))]
            if not sizes:
                del self.sizes[folder]

    def near(self, folder: int, least_bytes: int) -> list[int]:
        sizes = self.sizes.get(folder, [])
        first = bisect_left(sizes, (least_bytes, 0))
        return [node for size, node in sizes[first : first + MOST_NEAR] if size <= least_bytes + LONGER_BYTES]


class Beside:
    """Of one collectivité."""

    def __init__(self) -> None:
        self._persons: OrderedDict[str, _Own] = OrderedDict()
        self._where: dict[int, _Own] = {}

    def take(self, reading: Reading, rows: Iterable[Row]) -> None:
        """Files that changed are held as they are now."""
        for node in {row.node for row in rows if not row.is_folder} if self._persons else ():
            if node in self._where:
                self._where.pop(node).drop(node)
            one = journal.made(reading, node)
            own = self._persons.get(one.row.person_id) if one is not None else None
            if one is not None and own is not None:
                self._hold(own, one)

    def created(self, reading: Reading, row: Row, *, since_s: int) -> list[Done]:
        """Of a deletion: files that devices of its person created since then: in the folder of the deleted one, of the
        same stem or by LONGER_BYTES longer at most; elsewhere, both. BESIDE at most, those of its stem first, then the
        newest."""
        own, wanted = self._own(reading, row, since_s), stem(row.name)
        same = own.stems.get(wanted, set())
        near = own.near(row.parent, row.size_bytes)
        found = [
            one
            for one in (own.made[node] for node in same.union(near))
            if one.row.at_s >= since_s
            and (row.parent in _folders(one) or 0 <= one.size_bytes - row.size_bytes <= LONGER_BYTES)
        ]
        found.sort(key=lambda one: (one.row.node not in same, -one.row.number))
        return [
            Done(
                one.row,
                row.parent if row.parent in _folders(one) else one.parent,
                one.row.name if stem(one.row.name) == wanted else one.name,
                None,
                journal.body_at(reading, one.row.node, row.number),
            )
            for one in found[:BESIDE]
        ]

    def named(
        self, reading: Reading, row: Row, *, since_s: int
    ) -> tuple[tuple[tuple[int, str], ...], list[Done]]:
        """Of a deletion: the folders that it lay in, and new files of its person that have the name of one of these, in
        it or beside it; BESIDE at most, the newest. Younger than what was deleted, which was unpacked from older ones.
        No folders where there is no such file."""
        own = self._own(reading, row, since_s)
        folders = journal.folders_of(reading, row) if own.made else ()
        found = list[Made]()
        for at, (folder, name) in enumerate(folders):
            places = {folder, *(above for above, _ in folders[at + 1 : at + 2])}
            same = (own.made[node] for node in own.stems.get(stem(name), ()))
            found += [
                one
                for one in same
                if one.parent in places and one.row.at_s >= since_s and one.row.node > row.node
            ]
        found.sort(key=lambda one: -one.row.number)
        return folders if found else (), [
            Done(one.row, one.parent, one.name, None, journal.body_at(reading, one.row.node, row.number))
            for one in found[:BESIDE]
        ]

    def _own(self, reading: Reading, row: Row, since_s: int) -> _Own:
        own = self._persons.get(row.person_id)
        if own is not None and own.since_s < since_s - DAY_S:
            self._let_go(row.person_id)  # most of it is too old by now
            own = None
        if own is None:
            own = self._persons[row.person_id] = _Own(since_s)
            for one in journal.made_by(reading, row.person_id, since_s=since_s, most=MOST_HELD):
                self._hold(own, one)
            while len(self._where) > MOST_HELD and len(self._persons) > 1:
                self._let_go(next(iter(self._persons)))
        self._persons.move_to_end(row.person_id)
        return own

    def _hold(self, own: _Own, one: Made) -> None:
        own.add(one)
        self._where[one.row.node] = own

    def _let_go(self, person_id: str) -> None:
        for node in self._persons.pop(person_id).made:
            del self._where[node]


def _folders(one: Made) -> set[int]:
    """Where it lies, and where it was made."""
    return {one.parent, one.row.parent}


def _stems(one: Made) -> set[str]:
    return {stem(one.name), stem(one.row.name)}
