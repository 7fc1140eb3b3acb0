"""Rooms and vehicles of a mairie: a calendar each, in which nothing overlaps.

Rule:    what stands in it and is not called off books it, also where a program calls the time free, as some do of whole
         days. Looked at: what ends after now and begins within ``occupied.AHEAD``. Whoever stores an entry first
         booked it.
Process: calendars, under Radicale's lock for writing.
Format:  SHARED_HOME/salle-NAME, to which each home has a link, ``mairie-salle-NAME``. ``homes.BOOKED`` in it: who
         booked each entry, by name. ``homes.RETIRED``: it is shown nowhere, and kept with all that was booked.
Source:  docs/decisions/0218-rooms-are-calendars.md.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from radicale.storage import BaseCollection, BaseStorage

from beffroi.drive.calendars import homes, itip, occupied, wire
from beffroi.drive.calendars.items import name_of, text_line, title_of
from beffroi.lib import accents, clock, durable, json_file
from beffroi.lib.errors import Conflict, Invalid, NotFound, TooLarge

MAX_ROOMS = 30
_DAY = timedelta(days=1)
_NO_NAME = re.compile(r"[^a-z0-9]+")
_MAX_NAME_CHARS = 60


class Booked(Exception):
    """It is taken at that time."""

    def __init__(self, booking: wire.Booking) -> None:
        super().__init__("booked")
        self.booking = booking


# -- what is there -------------------------------------------------------------------------------------------


def listed(storage: BaseStorage, root: Path) -> list[wire.Room]:
    """By title, those that are retired last."""
    with storage.acquire_lock("r"):
        found = [_room(storage, place) for place in (root / homes.SHARED_HOME).glob(f"{homes.ROOM}*")]
    return sorted(found, key=lambda one: (one.is_retired, accents.bare(one.title)))


def add(storage: BaseStorage, root: Path, title: str) -> wire.Room:
    """Errors: Invalid (no letter or digit in it), Conflict (there, also as a retired one), TooLarge (too many)."""
    title = itip.one_line(title, wire.MAX_ROOM_CHARS)
    name = _NO_NAME.sub("-", accents.bare(title))[:_MAX_NAME_CHARS].strip("-")
    if not name:
        raise Invalid("room")
    place = root / homes.SHARED_HOME / f"{homes.ROOM}{name}"
    with storage.acquire_lock("w"):
        if place.exists():
            raise Conflict("this room is there")
        if sum(1 for _ in place.parent.glob(f"{homes.ROOM}*")) >= MAX_ROOMS:
            raise TooLarge(MAX_ROOMS)
        props = {"tag": "VCALENDAR", "D:displayname": title, "C:supported-calendar-component-set": "VEVENT"}
        storage.create_collection(f"/{homes.SHARED_HOME}/{place.name}/", props=props)
        return _room(storage, place)


def set_retired(storage: BaseStorage, root: Path, asked: wire.Retiring) -> wire.Room:
    """Errors: NotFound."""
    place = root / homes.SHARED_HOME / asked.room
    with storage.acquire_lock("w"):
        if not place.is_dir():
            raise NotFound("room")
        mark = place / homes.RETIRED
        mark.touch() if asked.is_retired else mark.unlink(missing_ok=True)
        durable.sync_directory(place)
        return _room(storage, place)


def _room(storage: BaseStorage, place: Path) -> wire.Room:
    collection = next(iter(storage.discover(f"/{homes.SHARED_HOME}/{place.name}/")))
    assert isinstance(collection, BaseCollection)
    return wire.Room(place.name, title_of(collection), (place / homes.RETIRED).exists())


# -- who booked what -----------------------------------------------------------------------------------------


def bookers(collection: Any) -> dict[str, str]:
    """Persons by names of entries; none of what is no room."""
    return homes.bookers(Path(collection._filesystem_path))


def note(collection: Any, name: str, by: str = "") -> None:
    """Whoever's home the collection was reached by has booked it, unless somebody did before: ``by``."""
    place = Path(collection._filesystem_path)
    known = homes.bookers(place)
    if name not in known:
        json_file.write(place / homes.BOOKED, known | {name: by or str(collection.path).partition("/")[0]})


def forget(collection: Any, name: str | None) -> None:
    place = Path(collection._filesystem_path)
    known = homes.bookers(place)
    if name in known:
        del known[name]
        json_file.write(place / homes.BOOKED, known)


# -- what overlaps -------------------------------------------------------------------------------------------


def is_room(collection: BaseCollection) -> bool:
    return homes.is_room(name_of(collection))


def require_free(collection: BaseCollection, name: str, item: Any) -> None:
    """``name``: of the entry that comes in the place of its former self. Errors: Booked, UNREADABLE, Spent."""
    since = clock.now()
    wanted, _ = occupied.spans(item, since, since + occupied.AHEAD)
    for other in occupied.meeting(collection, wanted) if wanted else ():
        if name != other.href and item.uid != other.uid:
            taken, _ = occupied.spans(other, wanted[0][0], max(end for _, end in wanted))
            for span in occupied.overlapping(wanted, taken):
                raise Booked(_booking(collection, other, span))


def _booking(collection: BaseCollection, item: Any, span: occupied.Span) -> wire.Booking:
    event = item.vobject_item.vevent
    starts, ends = span
    all_day = not isinstance(event.dtstart.value, datetime)
    if all_day:
        starts, ends = (one.replace(tzinfo=UTC) for one in (starts, ends - _DAY))
    return wire.Booking(
        of=title_of(collection),
        title=text_line(getattr(event, "summary", None), wire.MAX_TITLE_CHARS),
        starts=starts,
        ends=ends,
        all_day=all_day,
        by=bookers(collection).get(str(item.href), ""),
    )
