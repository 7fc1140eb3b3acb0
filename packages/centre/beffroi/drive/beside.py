"""What a device made beside a file that it deletes: of each folder in which it deletes, its new files, read once.

Purpose: "copy, encrypt, delete" is seen at the deletion, among the files that the device created in that folder within
         a day. A folder of ten thousand files that is emptied is read at the first of them, not ten thousand times.
Process: sentry. What is held is of no worth: it is read again where it is not there.
Bounded: MOST_HELD files of all folders of a collectivité; what was asked for longest ago goes first.
Source:  docs/internals/ransomware.md.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from beffroi.drive import journal
from beffroi.drive.guard import scoring
from beffroi.drive.journal import Done, Made, Row
from beffroi.drive.store.writing import Reading

BESIDE = 16
"""New files that are looked at for one deletion."""
MOST_NEAR = 64
"""Of those as long as the deleted one or a little longer, the nearest: of these the newest are looked at."""
MOST_HELD = 200_000


@dataclass
class _Folder:
    """``sizes``: (bytes, node), in order."""

    made: dict[int, Made] = field(default_factory=dict)
    stems: defaultdict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    sizes: list[tuple[int, int]] = field(default_factory=list)

    def add(self, one: Made) -> None:
        self.made[one.row.node] = one
        self.stems[scoring.stem(one.row.name)].add(one.row.node)
        insort(self.sizes, (one.size_bytes, one.row.node))

    def drop(self, node: int) -> None:
        one = self.made.pop(node, None)
        if one is not None:
            same = self.stems[scoring.stem(one.row.name)]
            same.discard(node)
            if not same:
                del self.stems[scoring.stem(one.row.name)]
            del self.sizes[bisect_left(self.sizes, (one.size_bytes, node))]

    def near(self, least_bytes: int, most_bytes: int) -> list[int]:
        first = bisect_left(self.sizes, (least_bytes, 0))
        return [node for size, node in self.sizes[first : first + MOST_NEAR] if size <= most_bytes]


class Beside:
    """Of one collectivité."""

    def __init__(self) -> None:
        self._folders: OrderedDict[tuple[str, int], _Folder] = OrderedDict()
        self._where: dict[int, _Folder] = {}

    def take(self, reading: Reading, rows: Iterable[Row]) -> None:
        """Files that changed are held as they are now."""
        for node in {row.node for row in rows if not row.is_folder} if self._folders else ():
            if node in self._where:
                self._where.pop(node).drop(node)
            one = journal.made(reading, node)
            folder = self._folders.get((one.row.device_id, one.row.parent)) if one is not None else None
            if one is not None and folder is not None:
                self._hold(folder, one)

    def created(self, reading: Reading, row: Row, *, since_s: int) -> list[Done]:
        """Of a deletion: files that its device created since then, and that lie in the folder of the deleted one: of
        the same stem, or by LONGER_BYTES longer at most. BESIDE at most, those of its stem first, then the newest."""
        folder = self._folder(reading, row, since_s)
        same = folder.stems.get(scoring.stem(row.name), set())
        near = set(folder.near(row.size_bytes, row.size_bytes + scoring.LONGER_BYTES))
        found = [folder.made[node] for node in same | near]
        found = [one for one in found if one.row.at_s >= since_s]
        found.sort(key=lambda one: (one.row.node not in same, -one.row.number))
        return [
            Done(
                one.row,
                one.row.parent,
                one.row.name,
                None,
                journal.body_at(reading, one.row.node, one.row.number),
            )
            for one in found[:BESIDE]
        ]

    def _folder(self, reading: Reading, row: Row, since_s: int) -> _Folder:
        key = row.device_id, row.parent
        folder = self._folders.get(key)
        if folder is None:
            folder = self._folders[key] = _Folder()
            for one in journal.made_in(reading, row.parent, row.device_id, since_s=since_s, most=MOST_HELD):
                self._hold(folder, one)
            while len(self._where) > MOST_HELD and len(self._folders) > 1:
                self._let_go()
        self._folders.move_to_end(key)
        return folder

    def _hold(self, folder: _Folder, one: Made) -> None:
        folder.add(one)
        self._where[one.row.node] = folder

    def _let_go(self) -> None:
        _, folder = self._folders.popitem(last=False)
        for node in folder.made:
            del self._where[node]
