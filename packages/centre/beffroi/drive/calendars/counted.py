"""Radicale's storage in files, which says by how many bytes each change grows a home, while its lock is held.

Rule:    a home's bytes are those of its entries, as ``homes.sizes`` counts them; what is shared is SHARED_HOME's.
Fails:   an entry that is stored is stored: what could not be counted then is counted by the upkeep within the hour.
Source:  radicale.storage.multifilesystem; docs/internals/drive.md, "Room".
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from radicale.storage import multifilesystem

from beffroi.drive.calendars import homes
from beffroi.lib.errors import BeffroiError

if TYPE_CHECKING:
    from collections.abc import Iterator

type Told = Callable[[str, int], object]
"""(whose home, bytes more). Errors: those of the metadata."""
log = logging.getLogger("beffroi.calendars")


class Collection(multifilesystem.Collection):
    _storage: Storage
    _are_many = False

    @contextmanager
    def many(self) -> Iterator[None]:
        """Around a thousand changes: counted once, and Radicale looks once for what is old, which walks through the
        whole collection."""
        with self._storage.counting(self, None):
            self._are_many = True
            try:
                yield
            finally:
                self._are_many = False
        super()._clean_history()  # type: ignore[no-untyped-call]

    def upload(self, href: str, item: Any) -> Any:
        with nullcontext() if self._are_many else self._storage.counting(self, href):
            return super().upload(href, item)

    def delete(self, href: str | None = None) -> None:
        with nullcontext() if self._are_many else self._storage.counting(self, href):
            super().delete(href)

    def _clean_history(self) -> None:
        if not self._are_many:
            super()._clean_history()  # type: ignore[no-untyped-call]


class Storage(multifilesystem.Storage):
    """``told``: set by whoever makes it."""

    _collection_class = Collection
    told: Told

    def move(self, item: Any, to_collection: Any, to_href: str) -> None:
        with self.counting(item.collection, item.href), self.counting(to_collection, to_href):
            super().move(item, to_collection, to_href)

    @contextmanager
    def counting(self, collection: Any, href: str | None) -> Iterator[None]:
        """``href``: None for the collection with all that is in it."""
        place = Path(collection._filesystem_path).resolve()  # what is shared lies behind a link
        before = _bytes(place, href)
        try:
            yield
        finally:
            owner = place.relative_to(Path(self._get_collection_root_folder()).resolve()).parts[0]
            if grown := _bytes(place, href) - before:
                try:
                    self.told(owner, grown)
                except (BeffroiError, OSError) as error:
                    log.error("room is counted later: %s", getattr(error, "code", type(error).__name__))


def _bytes(place: Path, href: str | None) -> int:
    if href is None:
        return sum(homes.entries(place))
    try:
        return os.lstat(place / href).st_size
    except (FileNotFoundError, NotADirectoryError):
        return 0
