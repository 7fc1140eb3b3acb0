"""Collections of a person and the items in them, whatever they are: found, stored under a name, at most so many.

Process: calendars, under Radicale's lock.
Hostile: names in requests, and what programs stored.
Source:  radicale.item, radicale.storage (their docstrings).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import vobject
from radicale import item as radicale_item
from radicale.pathutils import is_safe_filesystem_path_component
from radicale.storage import BaseCollection, BaseStorage

from beffroi.drive.calendars import homes, itip, wire
from beffroi.lib.errors import NotFound, TooLarge

MAX_ITEMS = 10_000
"""Of a collection."""
UNREADABLE = (
    RuntimeError,
    ValueError,
    AttributeError,
    TypeError,
    KeyError,
    OverflowError,
    vobject.base.VObjectError,
)
"""Errors of an item that a program stored as no reader takes it."""
type Keep = Callable[[Any], bool]
"""An item, before it is deleted: whether it can be put back."""


def opened(
    storage: BaseStorage, collections: Iterable[tuple[wire.Calendar, str]]
) -> Iterator[tuple[wire.Calendar, BaseCollection, str]]:
    """Each with its collection and, where it was handed over or is a room, its title. Errors: NotFound."""
    for calendar, path in collections:
        try:
            collection = collection_at(storage, path)
        except NotFound:
            if calendar in ("own", "shared"):
                raise
            continue  # given back, or retired, just now
        yield calendar, collection, title_of(collection) if calendar not in ("own", "shared") else ""


def collection_at(storage: BaseStorage, path: str) -> BaseCollection:
    """Errors: NotFound: a person may have deleted their own."""
    found = next(iter(storage.discover(path)), None)
    if not isinstance(found, BaseCollection):
        raise NotFound("calendar")
    return found


def title_of(collection: BaseCollection) -> str:
    """As programs show it."""
    return text_line(collection.get_meta("D:displayname"), wire.MAX_TITLE_CHARS)


def name_of(collection: BaseCollection) -> str:
    """Of its folder."""
    return str(collection.path).rpartition("/")[2]


def put(collection: BaseCollection, name: str, whole: Any) -> Any:
    """Store what vobject made under this name; return its item."""
    item = made(collection, whole)
    collection.upload(name, item)
    return item


def require_place(collection: Any) -> None:
    """For one more item. Errors: TooLarge."""
    if homes.count(Path(collection._filesystem_path)) >= MAX_ITEMS:
        raise TooLarge(MAX_ITEMS)


def item_at(collection: BaseCollection, name: str) -> Any:
    """Errors: NotFound."""
    safe = is_safe_filesystem_path_component(name) and not name.startswith(".")
    if not safe or len(name.encode("utf-8", "replace")) > homes.MAX_NAME_BYTES:
        raise NotFound("entry")
    found = next((item for _, item in collection.get_multi([name])), None)
    if found is None:
        raise NotFound("entry")
    return found


def made(collection: BaseCollection, whole: Any) -> Any:
    item = radicale_item.Item(collection=collection, vobject_item=whole)
    item.prepare()
    return item


def bytes_of(item: Any) -> int:
    """As it is stored."""
    return len(item.serialize().encode())


def text_line(value: Any, most_chars: int) -> str:
    """One line of text, whatever a program wrote."""
    return itip.one_line(str(getattr(value, "value", value) or ""), most_chars)
