"""Files of contacts or of entries: looked at, taken in, taken out again; and a whole book or calendar given out.

Process: calendars, under Radicale's lock.
Format:  HOME/.Beffroi.brought-KIND (JSON, ``_Record``): what a file would add, as it would be stored; once it is taken
         in, names and etags of what came. It is written before the first entry is, so that after a crash what came of
         a file can still be taken out; another file takes its place, and after ``KEPT_DAYS`` it goes. It counts in the
         room of whose home it is (``counted``).
Hostile: the file (``brought``).
Rule:    nothing that is there is changed, and taken out is what came and is still as it came.
Source:  docs/decisions/0111-files-of-contacts-and-entries.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import batched
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import msgspec
from beffroi_protocol.errors import UNDECODABLE
from radicale import item as radicale_item
from radicale.storage import BaseCollection, BaseStorage

from beffroi.drive.calendars import brought, effort, homes, wire, wire_bringing
from beffroi.drive.calendars.counted import Collection, Storage, bytes_of
from beffroi.drive.calendars.items import MAX_ITEMS, UNREADABLE, collection_at, name_of, opened, title_of
from beffroi.drive.calendars.wire_bringing import MAX_FILE_BYTES, MAX_NAMES, MAX_UNREADABLE, Kind
from beffroi.lib import accents, clock, durable, ids
from beffroi.lib.errors import NotFound, TooLarge

MOST_CPU_S = 6.0
"""For reading one file."""
_MOST_UID_CHARS = 128
"""That a group of a file is made to name: a longer one, named by thousands, would make much of a small file."""
_AT_ONCE = 200
"""Under one lock: others wait for no more than these."""


class _Kept(msgspec.Struct, frozen=True):
    """``text`` "" once it is stored."""

    name: str
    uid: str
    etag: str
    text: str = ""


class _There(NamedTuple):
    """``likeness``: with the UID of whoever is like this, as the card says it."""

    uids: set[str]
    likeness: dict[tuple[str, ...], str]

    def take(self, uid: str, said: brought.Said) -> None:
        self.uids.add(uid)
        for one in said.likeness:
            self.likeness.setdefault(one, said.uid or uid)


class _Record(msgspec.Struct, frozen=True):
    told: wire_bringing.File
    kept: list[_Kept]


def look(
    storage: Storage,
    home: Path,
    path: str,
    asked: wire_bringing.Brought,
    require: Callable[[int], object],
) -> wire_bringing.File:
    """Read a file, and let what is new in it wait. ``path``: of the collection it is for; ``require``: that the home
    has room for so many bytes more.

    Errors: NotFound, those of ``require``."""
    try:
        if len(asked.data) > MAX_FILE_BYTES:
            raise brought.Refused("size")
        with effort.bounded(MOST_CPU_S):
            read = sorted(brought.pieces(asked.kind, asked.data), key=itemgetter(0))
            with storage.acquire_lock("r"):
                there = _there(collection_at(storage, path), asked.kind)
            new, broken = _sifted(read, there)
    except brought.Refused as refused:
        return wire_bringing.File(refused=refused.why)
    except effort.Spent:
        return wire_bringing.File(refused="slow")
    told = wire_bringing.File(
        id=ids.new_id("brg"),
        calendar=asked.calendar,
        at=clock.now(),
        new=len(new),
        known=len(read) - len(new) - len(broken),
        broken=len(broken),
        names=[one.said.title for one in new[:MAX_NAMES]],
        unreadable=broken[:MAX_UNREADABLE],
    )
    text = _text(told, [_Kept(one.name, one.uid, one.etag, one.text) for one in new])
    with storage.acquire_lock("w"):
        if new:  # what is told of a file that adds nothing is short, and needs no room
            require(len(text) - _bytes_waiting(home, asked.kind))
        _write(storage, home, asked.kind, text)
    return told


def last(home: Path, kind: Kind) -> wire_bringing.File:
    """The one that waits, or that was taken in last; an empty one where there is none."""
    with suppress(NotFound):
        return _read(home, kind).told
    return wire_bringing.File()


def waiting(home: Path, asked: wire_bringing.Which) -> wire.Calendar:
    """Where this file goes, or went. Errors: NotFound."""
    return _read(home, asked.kind, asked.id).told.calendar


def take_in(
    storage: Storage,
    home: Path,
    path: str,
    asked: wire_bringing.Which,
    require: Callable[[int, int], object],
) -> wire_bringing.Done:
    """All that is new, or nothing; again does nothing more. ``require``: that the collection has room for so many
    bytes, when so many others in the home go.

    Errors: NotFound, TooLarge (too many in this collection), those of ``require``."""
    with storage.acquire_lock("w"):
        record = _read(home, asked.kind, asked.id)
        if record.told.taken:
            return wire_bringing.Done(record.told.new)
        there = {item.uid for item in collection_at(storage, path).get_all()}
        wanted = [one for one in record.kept if one.uid not in there]  # a phone may have been faster
        if len(there) + len(wanted) > MAX_ITEMS:
            raise TooLarge(MAX_ITEMS)
        told = msgspec.structs.replace(
            record.told, taken=True, at=clock.now(), new=len(wanted), names=[], unreadable=[]
        )
        text = _text(told, [_Kept(one.name, one.uid, one.etag) for one in wanted])
        going = _bytes_waiting(home, asked.kind) - len(text)
        require(sum(len(one.text.encode()) for one in wanted), going)
        _write(storage, home, asked.kind, text)
    try:
        for some in batched(wanted, _AT_ONCE, strict=False):
            with storage.acquire_lock("w"):
                _read(home, asked.kind, asked.id)  # nobody takes it out meanwhile
                collection = _counted_at(storage, path)
                with collection.many():
                    for one in some:
                        collection.upload(one.name, radicale_item.Item(collection=collection, text=one.text))
    except BaseException:
        _remove(storage, path, wanted)
        with storage.acquire_lock("w"), suppress(NotFound):
            _read(home, asked.kind, asked.id)  # who took it out, or brought another file, keeps what they did
            _write(storage, home, asked.kind, _text(record.told, record.kept))
        raise
    return wire_bringing.Done(len(wanted))


def take_out(storage: Storage, home: Path, path: str, asked: wire_bringing.Which) -> wire_bringing.Done:
    """What came of a file and is as it came; what waits is forgotten. Errors: NotFound."""
    with storage.acquire_lock("w"):
        record = _read(home, asked.kind, asked.id)
        # Under another name: what still takes it in finds it no more, and stops.
        going = msgspec.structs.replace(record.told, id=ids.new_id("brg"))
        _write(storage, home, asked.kind, _text(going, record.kept))
    done = _remove(storage, path, record.kept) if record.told.taken else wire_bringing.Done(0)
    with storage.acquire_lock("w"):
        if last(home, asked.kind).id == going.id:  # no other file took its place
            place = homes.brought(home, asked.kind)
            with storage.counting(home, place.name):
                place.unlink(missing_ok=True)
    return done


def give(storage: BaseStorage, path: str) -> wire_bringing.Text:
    """All of a collection as one file, as it is kept; "" where nothing is in it. Errors: NotFound, TooLarge."""
    with storage.acquire_lock("r"):
        collection = collection_at(storage, path)
        if collection.get_meta("tag") not in ("VCALENDAR", "VADDRESSBOOK"):
            raise NotFound("calendar")
        size = 0
        for item in collection.get_all():
            size += len(item.serialize())
            if size > wire_bringing.MAX_GIVEN_BYTES:
                raise TooLarge(wire_bringing.MAX_GIVEN_BYTES)
        return wire_bringing.Text(collection.serialize() if size else "", title_of(collection))


def handed(storage: BaseStorage, those: Iterable[tuple[wire.Calendar, str]]) -> list[wire_bringing.Handed]:
    """What each of them is called, in the order of it."""
    with storage.acquire_lock("r"):
        found = [
            wire_bringing.Handed(name_of(one), title) for _calendar, one, title in opened(storage, those)
        ]
    return sorted(found, key=lambda one: (accents.bare(one.title), one.name))


# -- inside ---------------------------------------------------------------------------------------------------


def _counted_at(storage: BaseStorage, path: str) -> Collection:
    """Errors: NotFound."""
    found = collection_at(storage, path)
    assert isinstance(found, Collection)
    return found


def _there(collection: BaseCollection, kind: Kind) -> _There:
    """Errors: effort.Spent."""
    found = _There(set(), {})
    for item in collection.get_all():
        effort.require()
        with suppress(*UNREADABLE):
            found.take(item.uid, brought.said(kind, item))
        found.uids.add(item.uid)
    return found


def _sifted(
    read: Sequence[tuple[int, brought.Piece | wire_bringing.Why]], there: _There
) -> tuple[list[brought.Piece], list[wire_bringing.Unreadable]]:
    """What is new, and what cannot be read. Errors: effort.Spent."""
    new: list[brought.Piece] = []
    broken: list[wire_bringing.Unreadable] = []
    elsewhere: dict[str, str] = {}
    for line, one in read:
        if not isinstance(one, brought.Piece):
            broken.append(wire_bringing.Unreadable(line, one))
        elif one.uid in there.uids:
            continue
        elif same := [there.likeness[as_one] for as_one in sorted(one.said.likeness & there.likeness.keys())]:
            if one.said.uid and len(same[0]) <= _MOST_UID_CHARS and same[0].isprintable():
                elsewhere[one.said.uid] = same[0]
        else:
            new.append(one)
            there.take(one.uid, one.said)
    if not elsewhere:
        return new, broken
    pointed = []
    for one in new:
        effort.require()
        pointed.append(brought.pointed(one, elsewhere))
    return pointed, broken


def _remove(storage: BaseStorage, path: str, some: Sequence[_Kept]) -> wire_bringing.Done:
    """Errors: NotFound."""
    count = kept = 0
    for part in batched(some, _AT_ONCE, strict=False):
        etags = {one.name: one.etag for one in part}
        with storage.acquire_lock("w"):
            collection = _counted_at(storage, path)
            with collection.many():
                for name, item in collection.get_multi(list(etags)):
                    if item is not None and item.etag == etags[name]:
                        collection.delete(name)
                        count += 1
                    elif item is not None:
                        kept += 1
    return wire_bringing.Done(count, kept)


def _read(home: Path, kind: Kind, wanted: str = "") -> _Record:
    """``wanted``: "" for any. Errors: NotFound: none, another one, or too long ago."""
    try:
        record = msgspec.json.decode(homes.brought(home, kind).read_bytes(), type=_Record)
    except (FileNotFoundError, *UNDECODABLE):
        raise NotFound("file") from None
    at: datetime | None = record.told.at
    if at is None or (clock.now() - at).days >= wire_bringing.KEPT_DAYS or wanted not in ("", record.told.id):
        raise NotFound("file")
    return record


def _bytes_waiting(home: Path, kind: Kind) -> int:
    return bytes_of(home, homes.brought(home, kind).name)


def _text(told: wire_bringing.File, kept: list[_Kept]) -> bytes:
    return msgspec.json.encode(_Record(told, kept))


def _write(storage: Storage, home: Path, kind: Kind, text: bytes) -> None:
    """Under the lock for writing."""
    place = homes.brought(home, kind)
    with storage.counting(home, place.name):
        durable.write(place, (text,), mode=0o600)
