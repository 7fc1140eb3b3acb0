"""The order of a long folder, which pages deliver part by part: made once for a state of it, and kept.

Purpose: a part costs about the part, however long the folder is. A folder's etag is another one after whatever change
         in it, so that an order kept under it is the folder's. Who goes on from a part names its etag, and goes on in
         that order while it is kept: nothing is shown twice or left out because somebody wrote meanwhile.
Process: web; drive for links. Each keeps its own.
Bounded: MOST_KEPT entries of all folders together, 8 bytes each; what was asked for longest ago goes first.
Source:  docs/decisions/0095-a-million-files.md.
"""

from __future__ import annotations

import threading
from array import array
from collections import OrderedDict
from typing import NamedTuple

from beffroi.drive.store import listing
from beffroi.drive.store.listing import Entry
from beffroi.drive.store.model import Node
from beffroi.drive.store.writing import Reading

MOST_KEPT = 2_000_000


class Part(NamedTuple):
    """``total``: entries of the folder; ``etag``: of the state whose order this is."""

    entries: list[Entry]
    total: int
    etag: int


class _Key(NamedTuple):
    collectivite_id: str
    folder: int
    newest_first: bool
    etag: int


class Orders:
    def __init__(self, most_kept: int = MOST_KEPT) -> None:
        self._most_kept, self._kept_entries = most_kept, 0
        self._kept: OrderedDict[_Key, array[int]] = OrderedDict()
        self._lock = threading.Lock()

    def part(
        self,
        reading: Reading,
        collectivite_id: str,
        folder: Node,
        *,
        first: int,
        most: int,
        newest_first: bool = False,
        etag: int = 0,
    ) -> Part:
        """``first``: place of the part's first entry. ``etag``: of the part before, 0 for none. Of another order than
        the folder's of today, what left the folder since is left out."""
        for one in (etag, folder.etag) if first and etag else (folder.etag,):
            key = _Key(collectivite_id, folder.id, newest_first, one)
            order = self._found(key)
            if order is not None:
                ids = order[first : first + most]
                return Part(listing.some(reading, folder.id, ids), len(order), one)
        entries = listing.folder(reading, folder.id, newest_first=newest_first)
        if len(entries) > most:
            self._keep(key, array("q", (one.id for one in entries)))
        return Part(entries[first : first + most], len(entries), folder.etag)

    def _found(self, key: _Key) -> array[int] | None:
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
            return found

    def _keep(self, key: _Key, order: array[int]) -> None:
        with self._lock:
            if key not in self._kept:
                self._kept[key] = order
                self._kept_entries += len(order)
            while self._kept_entries > self._most_kept:
                _, gone = self._kept.popitem(last=False)
                self._kept_entries -= len(gone)


orders = Orders()
"""Those of this process."""
