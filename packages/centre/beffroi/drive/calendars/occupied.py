"""When a room is taken: the times and the UID of each of its entries, kept beside what Radicale read of them.

Rule:    an entry is read once, and once more when its file is another one; a series without an end also after
         ``_MARGIN``, when what is known of it no longer reaches as far as somebody may book. So a booking reads the
         entries that it meets, however many lie there.
Process: calendars, under Radicale's lock for writing.
Format:  ``_KEPT`` in the folder of a room, JSON. Where it is lost, damaged or of another version, entries are read
         anew.
Source:  docs/decisions/0218-rooms-are-calendars.md.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from radicale import storage

from beffroi.drive.calendars import effort
from beffroi.drive.calendars.items import UNREADABLE, text_line
from beffroi.drive.calendars.single_dates import visit_time_ranges
from beffroi.lib import clock, json_file

AHEAD = timedelta(days=731)
"""So far from now a room can be taken."""
_MARGIN = timedelta(days=92)
_FOREVER_S = 1 << 40
_COPIES, _KEPT = ".Radicale.cache", ".Radicale.cache/Beffroi.occupied"
_VERSION = "1"
type Span = tuple[datetime, datetime]
type _State = tuple[int, int, int]
"""Of a file: which one, bytes, its last change in nanoseconds. Nobody sets that one back, as they may its age."""


class _Entry(msgspec.Struct, frozen=True, array_like=True):
    """``spans``: UTC epoch seconds, in the order of time, all that begin before ``until_s``."""

    state: _State
    uid: str = ""
    until_s: int = _FOREVER_S
    spans: tuple[tuple[int, int], ...] = ()


class _Kept(msgspec.Struct, frozen=True):
    version: str
    entries: dict[str, _Entry]


def has_uid(collection: Any, uid: str) -> bool:
    """Errors: Spent."""
    return any(one.uid == uid for one in _entries(collection).values())


def meeting(collection: Any, wanted: list[Span]) -> Iterator[Any]:
    """The entries that take some of this time, as ``spans`` has it, by when they do first. Errors: Spent."""
    asked = [(int(start.timestamp()), int(end.timestamp())) for start, end in wanted]
    taken = sorted((*span, name) for name, one in _entries(collection).items() for span in one.spans)
    names = dict.fromkeys(name for _, _, name in overlapping(asked, taken))
    return (item for _, item in collection.get_multi(names) if item is not None)


def spans(item: Any, since: datetime, until: datetime) -> tuple[list[Span], bool]:
    """When it books something between the two, in the order of time, and whether it books nothing later.

    Errors: UNREADABLE, Spent."""
    found: list[Span] = []
    is_whole = True

    def begin(event: Any) -> bool:
        return text_line(getattr(event, "status", None), 20).upper() != "CANCELLED"

    def visit(start: datetime, end: datetime, is_changed: bool) -> bool:
        nonlocal is_whole
        if start >= until:
            is_whole = False
            return not is_changed
        if end > since:
            found.append((start, end))
        return False

    if item.component_name == "VEVENT":
        visit_time_ranges(item.vobject_item, "VEVENT", visit, lambda _start: False, begin)
    return sorted(found), is_whole


def overlapping[T: tuple[Any, ...]](wanted: Sequence[tuple[Any, Any]], taken: Iterable[T]) -> Iterator[T]:
    """Those of ``taken`` that overlap one of ``wanted``: each begins with its start and end; in the order of time."""
    at = 0
    for one in taken:
        start, end = one[:2]
        while at < len(wanted) and wanted[at][1] <= start:
            at += 1
        if at < len(wanted) and wanted[at][0] < end:
            yield one


def _entries(collection: Any) -> dict[str, _Entry]:
    """By name. What was read when the time is spent is kept, so that the next one goes on there. Errors: Spent."""
    place = Path(collection._filesystem_path)
    version = f"{_VERSION} {storage.CACHE_VERSION.decode()}"
    kept = json_file.read(place / _KEPT, _Kept)
    before = kept.entries if kept is not None and kept.version == version else {}
    since = clock.now()
    far_s = (since + AHEAD).timestamp()
    files = dict(_files(place))
    found = {
        name: one
        for name, state in files.items()
        if (one := before.get(name)) and one.state == state and one.until_s >= far_s
    }
    try:
        for name in files.keys() - found.keys():
            effort.require()
            found[name] = _read(collection, name, files[name], since)
    finally:
        if found != before:
            _write(collection, place, _Kept(version, found))
    return found


def _files(place: Path) -> Iterator[tuple[str, _State]]:
    with os.scandir(place) as files:
        for one in files:
            if not one.name.startswith(".") and one.is_file():
                stat = one.stat()
                yield one.name, (stat.st_ino, stat.st_size, stat.st_ctime_ns)


def _read(collection: Any, name: str, state: _State, since: datetime) -> _Entry:
    """What cannot be read, or is none, books nothing. Errors: Spent."""
    uid, until = "", since + AHEAD + _MARGIN
    with suppress(*UNREADABLE):
        item = next(item for _, item in collection.get_multi([name]))
        uid = item.uid
        found, is_whole = spans(item, since, until)
        seconds = tuple((int(start.timestamp()), int(end.timestamp())) for start, end in found)
        return _Entry(state, uid, _FOREVER_S if is_whole else int(until.timestamp()), seconds)
    return _Entry(state, uid)


def _write(collection: Any, place: Path, kept: _Kept) -> None:
    """As Radicale writes its copies: whole, and nobody waits until it is on the disk."""
    collection._storage._makedirs_synced(str(place / _COPIES))
    with collection._atomic_write(str(place / _KEPT), "wb") as file:
        file.write(msgspec.json.encode(kept))
