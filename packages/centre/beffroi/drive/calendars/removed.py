"""What a person deleted last on the pages, one of each kind, put back as it was.

Process: calendars, under Radicale's lock.
Format:  HOME/.Beffroi.deleted-KIND (JSON, ``_Kept``), written before the item goes; the next one takes its place, and
         the upkeep takes it away. It asks for no room: who deletes makes some, and it is one item.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from beffroi_protocol.errors import UNDECODABLE
from radicale import item as radicale_item
from radicale.storage import BaseStorage

from beffroi.drive.calendars import entries, homes, wire
from beffroi.drive.calendars.items import bytes_of, collection_at, require_place
from beffroi.drive.calendars.wire_bringing import Kind, Which
from beffroi.lib import json_file
from beffroi.lib.errors import Conflict, NotFound


class _Kept(msgspec.Struct, frozen=True):
    calendar: wire.Calendar
    name: str
    etag: str
    text: str


def keep(home: Path, kind: Kind, calendar: wire.Calendar, item: Any) -> bool:
    """Whether it can be put back: a full disk keeps nobody from deleting."""
    kept = _Kept(calendar, item.href, item.etag, item.serialize())
    try:
        json_file.write(homes.deleted(home, kind), kept)
    except OSError:
        return False
    return True


def where(home: Path, asked: Which) -> wire.Calendar:
    """The calendar or address book that it was deleted from. Errors: NotFound."""
    return _read(home, asked).calendar


def put_back(
    storage: BaseStorage, home: Path, path: str, asked: Which, require: Callable[[int], object]
) -> wire.Done:
    """Under its name. Guests of an entry are asked anew, since they were told that it is off.

    Errors: NotFound, Conflict (a program put it back), TooLarge (too many there), Booked, those of ``require``."""
    with storage.acquire_lock("w"):
        kept = _read(home, asked)
        collection = collection_at(storage, path)
        item = radicale_item.Item(collection=collection, text=kept.text)
        there = (found for _, found in collection.get_multi([kept.name]))
        if any(there) or collection.has_uid(item.uid):
            raise Conflict("it is there again")
        require_place(collection)
        item, outgoing = entries.called_again(item) if asked.kind == "agenda" else (item, [])
        require(bytes_of(item))
        collection.upload(kept.name, item)
        homes.deleted(home, asked.kind).unlink()
    return wire.Done(kept.name, outgoing)


def _read(home: Path, asked: Which) -> _Kept:
    """Errors: NotFound: none, or another one."""
    try:
        kept = msgspec.json.decode(homes.deleted(home, asked.kind).read_bytes(), type=_Kept)
    except (FileNotFoundError, *UNDECODABLE):
        raise NotFound("deleted") from None
    if kept.etag != asked.id:
        raise NotFound("deleted")
    return kept
