"""Radicale's storage in files, which says by how many bytes each change grows a home, while its lock is held.

Rule:    a home's bytes are those of its entries, of properties of its collections and of files that wait, as
         ``homes.sizes`` counts them; what is shared is SHARED_HOME's.
Limits:  ``MAX_PROPS_BYTES`` the properties of a collection, as they lie on disk.
Fails:   an entry that is stored is stored: what could not be counted then is counted by the upkeep within the hour.
Source:  radicale.storage.multifilesystem; docs/internals/drive.md, "Room".
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from radicale.pathutils import is_safe_filesystem_path_component
from radicale.storage import multifilesystem

from beffroi.drive.calendars import effort, homes, occupied, rooms
from beffroi.lib.errors import BeffroiError

if TYPE_CHECKING:
    from collections.abc import Iterator

type Told = Callable[[str, int], object]
"""(whose home, bytes more). Errors: those of the metadata."""
_DRAFT = ".Beffroi.draft"
_COPIES = ".Radicale.cache"
_SETTLED_NS = 1_000_000_000
"""A folder that changed less long ago may change again at the same time, as its file system counts time."""
MAX_PROPS_BYTES = 32 * 1024
"""A calendar of a phone, with a description, alarms and the text of its zone, has some 7 KiB."""
log = logging.getLogger("beffroi.calendars")


class PropsTooLong(BaseException):
    """No ``Exception``: Radicale would answer it as a mistake of its own (``effort.Spent``)."""


class Collection(multifilesystem.Collection):
    _storage: Storage

    @contextmanager
    def many(self) -> Iterator[None]:
        """Around a hundred changes, under the lock for writing: counted once, their directory synced once at the end.
        Each file is synced and renamed for itself: Radicale reads no collection with half a file in it."""
        with self._storage.counting(Path(self._filesystem_path)):
            self._storage.are_many = True
            try:
                yield
            finally:
                self._storage.are_many = False
                self._storage._sync_directory(self._filesystem_path)

    def upload(self, href: str, item: Any) -> Any:
        """Errors: Booked, where this is a room."""
        with self._counted(href), self._booking(href, item):
            return super().upload(href, item)

    def delete(self, href: str | None = None) -> None:
        with self._counted(href):
            super().delete(href)
        if rooms.is_room(self):
            rooms.forget(self, href)

    def has_uid(self, uid: str) -> bool:
        """Errors: Spent."""
        return occupied.has_uid(self, uid) if rooms.is_room(self) else super().has_uid(uid)

    @contextmanager
    def _booking(self, href: str, item: Any, by: str = "") -> Iterator[None]:
        """Around the coming of an entry. ``by``: who had booked it, where it lay there by another name. Errors:
        Booked."""
        if not rooms.is_room(self):
            yield
            return
        rooms.require_free(self, href, item)
        yield
        rooms.note(self, href, by)

    def set_meta(self, props: Mapping[str, str]) -> None:
        """Also of a collection that is being made. Errors: PropsTooLong; what was longer before may get shorter."""
        size_bytes = len(json.dumps(props))
        if size_bytes > MAX_PROPS_BYTES and size_bytes > bytes_of(Path(self._filesystem_path), homes.PROPS):
            raise PropsTooLong
        with self._counted(homes.PROPS):
            super().set_meta(props)

    def _counted(self, href: str | None) -> AbstractContextManager[None]:
        if self._storage.are_many:
            return nullcontext()
        return self._storage.counting(Path(self._filesystem_path), href)

    @property
    def etag(self) -> str:
        known = self._known()
        if "etag" not in known:
            known["etag"] = super().etag
        return known["etag"]

    def sync(self, old_token: str = "") -> tuple[str, Iterable[str]]:
        """Errors: ValueError: a token that is not known; Spent."""
        known = self._known()
        token = known.get("token", "")
        if token and old_token in ("", token) and self._touched(token):
            return token, () if old_token else (str(item.href) for item in self.get_all())
        try:
            token, changed = super().sync(old_token)
        except EOFError:
            raise ValueError from None
        known["token"] = token
        return token, changed

    def _known(self) -> dict[str, str]:
        """What was worked out of this collection as it stands now, and what will be; each entry is looked at for it."""
        found = Path(self._filesystem_path).stat()
        state, known = self._storage.known.get(found.st_ino, (0, {}))
        if state != found.st_ctime_ns:
            known = {}
            if time.time_ns() - found.st_ctime_ns > _SETTLED_NS:
                self._storage.known[found.st_ino] = (found.st_ctime_ns, known)
        return known

    def _touched(self, token: str) -> bool:
        """Whether it can be asked about later: what nobody asks for goes after a month."""
        try:
            os.utime(Path(self._filesystem_path) / _COPIES / "sync-token" / token.rpartition("/")[2])
        except FileNotFoundError:
            return False
        return True

    def get_multi(self, hrefs: Iterable[str]) -> Iterator[tuple[str, Any]]:
        """Radicale's looks through a list of all names for each, since file systems may know no capitals."""
        for href in hrefs:
            is_name = is_safe_filesystem_path_component(href)
            yield href, self._get(href, verify_href=False) if is_name else None

    def _update_history_etag(self, href: str, item: Any) -> Any:
        """Of many, with the next question for what changed, which looks at each."""
        if self._storage.are_many:
            return ""
        try:
            return super()._update_history_etag(href, item)  # type: ignore[no-untyped-call]
        except EOFError:
            (Path(self._filesystem_path) / _COPIES / "history" / href).unlink(missing_ok=True)
            return super()._update_history_etag(href, item)  # type: ignore[no-untyped-call]

    def _clean_history(self) -> None:
        """Walks through the whole collection."""
        if not self._storage.are_many:
            super()._clean_history()  # type: ignore[no-untyped-call]

    @contextmanager
    def _atomic_write(self, path: str, mode: str = "w", newline: str | None = None) -> Iterator[IO[Any]]:
        """Of many, without a directory for each. What was read of an item, and what programs were told of changes, is
        not waited for: it can be read anew, and a program whose token is not known asks for all."""
        file: IO[Any]
        is_copy = Path(self._filesystem_path) / _COPIES in Path(path).parents
        if not self._storage.are_many and not is_copy:
            with super()._atomic_write(path, mode, newline) as file:
                yield file
            return
        # Readers write copies side by side.
        draft = Path(path).with_name(f"{_DRAFT}.{threading.get_ident()}" if is_copy else _DRAFT)
        with draft.open(mode, newline=newline, encoding=None if "b" in mode else self._encoding) as file:
            yield file
            file.flush()
            if not is_copy:
                os.fsync(file.fileno())
        draft.replace(path)

    def _load_item_cache(self, href: str, cache_hash: str) -> Any:
        """None also for a copy that a power cut left empty. Errors: Spent, where an item is to be read anew."""
        found = None
        with suppress(EOFError):
            found = super()._load_item_cache(href, cache_hash)
        if found is None:
            effort.require()
        return found


class Storage(multifilesystem.Storage):
    """``told``: set by whoever makes it. ``are_many``: within ``Collection.many``, whose lock lets nobody else in.
    ``known``: by the number of a collection's folder, its last change, which all that is written in it is, and what
    was worked out of it since."""

    _collection_class = Collection
    told: Told
    are_many = False

    def __init__(self, *settings: Any) -> None:
        super().__init__(*settings)
        self.known: dict[int, tuple[int, dict[str, str]]] = {}

    def _sync_directory(self, path: str) -> None:
        if not self.are_many:
            super()._sync_directory(path)

    def move(self, item: Any, to_collection: Any, to_href: str) -> None:
        """Errors: Booked."""
        come_from, go_to = (Path(one._filesystem_path) for one in (item.collection, to_collection))
        by = rooms.bookers(item.collection).get(item.href, "") if come_from == go_to else ""
        with (
            self.counting(come_from, item.href),
            self.counting(go_to, to_href),
            to_collection._booking(to_href, item, by),
        ):
            super().move(item, to_collection, to_href)
        if rooms.is_room(item.collection) and (come_from, item.href) != (go_to, to_href):
            rooms.forget(item.collection, item.href)

    @contextmanager
    def counting(self, folder: Path, name: str | None = None) -> Iterator[None]:
        """``name``: of a file in it; None for all that is in it."""
        place = folder.resolve()  # what is shared lies behind a link
        before = bytes_of(place, name)
        try:
            yield
        finally:
            owner = place.relative_to(Path(self._get_collection_root_folder()).resolve()).parts[0]
            if grown := bytes_of(place, name) - before:
                try:
                    self.told(owner, grown)
                except (BeffroiError, OSError) as error:
                    log.error("room is counted later: %s", getattr(error, "code", type(error).__name__))


def bytes_of(place: Path, name: str | None) -> int:
    if name is None:
        return sum(homes.entries(place))
    try:
        return os.lstat(place / name).st_size
    except (FileNotFoundError, NotADirectoryError):
        return 0
