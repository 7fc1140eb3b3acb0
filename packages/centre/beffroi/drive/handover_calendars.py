"""Calendars and address books of a handover, one collection after the other, to the colleague and back.

Process: worker. A collection is moved under Radicale's lock, so that no program sees half an entry, and counted in the
         room of both with it. Before the first one all of them must find room; what a crash cut goes on with the next
         call.
Privacy: counts alone leave this module.
Source:  docs/decisions/0109-calendars-of-who-left.md; ``calendars.passing``; ``store.passed``.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from beffroi.drive.calendars import homes, passing
from beffroi.drive.store import passed, room
from beffroi.drive.store.database import Database
from beffroi.drive.store.handovers import Handover
from beffroi.drive.store.passed import Passed
from beffroi.drive.store.writing import Writing
from beffroi.lib.config import Config
from beffroi.lib.errors import Unavailable


def step(config: Config, database: Database, one: Handover, collectivite_id: str) -> bool:
    """Move the next collection; False where none is left. Errors: QuotaFull, StoreFull, Unavailable."""
    with database.reading() as reading:
        rows = passed.of(reading, one.id)
    place = homes.folder(config, collectivite_id)
    if not rows or not (place / homes.ROOT).is_dir():
        return False
    try:
        with homes.locked(place):
            return (_back if one.state == "returning" else _there)(database, one, rows, place / homes.ROOT)
    except OSError:
        raise Unavailable("calendars") from None


def _there(database: Database, one: Handover, rows: list[Passed], root: Path) -> bool:
    due = [row for row in rows if row.state == "due"]
    if not due:
        return False
    row, home, heirs = due[0], root / one.person_id, root / one.heir
    growth = passing.waiting_bytes(home, row.was) + sum(other.size_bytes for other in due[1:])
    with database.reading() as reading:
        passed.require_room(reading, one.heir, growth)
    count = passing.hand_over(home, row.was, heirs, row.made, row.title)
    done = row._replace(state="done", entries=count)
    database.write(lambda w: _settle(w, done, (home, heirs)))
    return True


def _back(database: Database, one: Handover, rows: list[Passed], root: Path) -> bool:
    home, heirs = root / one.person_id, root / one.heir
    row = next((row for row in rows if row.state != "back"), None)
    if row is None:
        for row in rows:  # again after a crash: what is gone stays gone
            passing.tidy(heirs, row.made)
        database.write(lambda w: _count(w, (heirs,)))
        return False
    with database.reading() as reading:
        onward = [(root / heir, made) for heir, made in passed.onward(reading, one.heir, row.made)]
    count = passing.give_back(home, row.was, heirs, row.made, onward)
    returned = row._replace(state="back", back=count)
    database.write(lambda w: _settle(w, returned, {home, heirs, *(place for place, _ in onward)}))
    return True


def _settle(writing: Writing, row: Passed, places: Collection[Path]) -> None:
    passed.settle(writing, row)
    _count(writing, places)


def _count(writing: Writing, places: Collection[Path]) -> None:
    """Homes anew, whatever a crash left uncounted."""
    kept = room.calendars(writing)
    for place in places:
        grown = sum(homes.entries(place)) - kept.get(place.name, 0)
        room.add_calendars(writing, place.name, grown)
