"""A room through backup, restore and the leaving of who booked it: nothing that was taken is free."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from beffroi.drive.backup import calendars as archives
from beffroi.drive.calendars import homes, rooms, wire

from tests.fixtures_calendars import at
from tests.integration.test_calendar_attacks import BEAUNE, Person, agent, calendars
from tests.integration.test_calendar_rooms import FETES, booked, by, colleague, put, room, root, storage

__all__ = ["agent", "calendars", "colleague", "room"]


@pytest.mark.parametrize("is_lost", [False, True], ids=["beside later bookings", "on a new disk"])
def test_a_room_comes_back_with_its_bookings_its_bookers_and_its_retirement(
    agent: Person, colleague: Person, room: wire.Room, tmp_path: Path, is_lost: bool
) -> None:
    old = rooms.add(storage(agent), root(agent), "Ancien minibus")
    rooms.set_retired(storage(agent), root(agent), wire.Retiring(old.name, True))
    assert (
        put(agent, "loto", at("0900")) == 201
        and put(colleague, "gym", at("1800"), more="RRULE:FREQ=WEEKLY") == 201
    )
    assert archives.take(agent.config, BEAUNE, tmp_path / "archive")
    assert agent.ask("DELETE", agent.at(f"{FETES}/loto.ics"))[0] == 200
    assert put(colleague, "bal", at("0930")) == 201
    if is_lost:
        shutil.rmtree(homes.folder(agent.config, BEAUNE))
    archives.load(agent.config, BEAUNE, tmp_path / "archive")
    assert booked(agent) == {"loto", "gym"}
    assert by(agent) == {"loto.ics": agent.id, "gym.ics": colleague.id}
    assert (
        put(colleague, "bal", at("0930")) == 403 and put(agent, "yoga", at("1830", days=10 + 7 * 30)) == 403
    )
    assert put(colleague, "bal", at("1000")) == 201
    assert {one.name: one.is_retired for one in rooms.listed(storage(agent), root(agent))} == {
        room.name: False,
        old.name: True,
    }


def test_what_somebody_booked_who_is_erased_stays_booked(
    agent: Person, colleague: Person, room: wire.Room
) -> None:
    assert put(colleague, "loto", at("0900")) == 201
    assert homes.remove_everywhere(colleague.config, colleague.id) == 1
    assert put(agent, "bal", at("0930")) == 403 and booked(agent) == {"loto"}
