"""Rooms and vehicles of a mairie, as programs have them: nothing overlaps, whoever stores it and however."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from beffroi.drive.calendars import homes, rooms, wire
from beffroi.drive.calendars.app import Calendars
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.errors import Conflict, Invalid, TooLarge

from tests.fixtures_calendars import at, event
from tests.integration.test_calendar_attacks import BEAUNE, NUITS, Person, agent, calendars, elu

__all__ = ["agent", "calendars", "elu"]
FETES = "mairie-salle-salle-des-fetes"


@pytest.fixture
def colleague(calendars: tuple[Calendars, Config]) -> Person:
    return Person(*calendars, BEAUNE, "agent")


@pytest.fixture
def room(agent: Person) -> wire.Room:
    return rooms.add(storage(agent), root(agent), "Salle des fêtes")


def storage(person: Person) -> Any:
    return person.calendars._stores.home(person.collectivite_id, person.id).storage


def root(person: Person) -> Path:
    return homes.folder(person.config, person.collectivite_id) / homes.ROOT


def put(person: Person, name: str, starts: str, *, more: str = "", place: str = FETES) -> int:
    text = event(name, name.title(), starts=starts, more=more)
    return person.ask("PUT", person.at(f"{place}/{name}.ics"), text)[0]


def booked(person: Person) -> set[str]:
    return {one.removesuffix(".ics") for one in person.names(FETES)}


def by(person: Person) -> dict[str, str]:
    found: dict[str, str] = json.loads(
        (root(person) / "mairie/salle-salle-des-fetes" / homes.BOOKED).read_text()
    )
    return found


def listed(person: Person) -> bytes:
    return person.ask("PROPFIND", person.at(""), HTTP_DEPTH="1")[1]


def test_everybody_of_the_mairie_has_a_room_and_nobody_else(
    agent: Person, elu: Person, colleague: Person, room: wire.Room, calendars: tuple[Calendars, Config]
) -> None:
    neighbour = Person(*calendars, NUITS, "agent")
    assert all("Salle des fêtes" in listed(one).decode() for one in (agent, elu, colleague))
    assert b"salle" not in listed(neighbour)
    assert put(agent, "loto", at("0900")) == 201
    assert colleague.ask("GET", colleague.at(f"{FETES}/loto.ics"))[0] == 200
    assert put(neighbour, "loto", at("0900")) == 409
    assert not (root(neighbour) / neighbour.id / FETES).exists()
    assert neighbour.ask("GET", agent.at(f"{FETES}/loto.ics"))[0] == 404
    assert elu.ask("GET", elu.at(f"{FETES}/loto.ics"))[0] == 200
    assert put(elu, "bal", at("1500")) == 403
    assert agent.ask("DELETE", agent.at(f"{FETES}/"))[0] == 403


def test_what_is_taken_is_refused_and_said_and_what_follows_it_is_not(
    agent: Person, colleague: Person, room: wire.Room
) -> None:
    assert put(agent, "loto", at("0900")) == 201
    text = event("bal", "Bal", starts=at("0930"))
    status, answer = colleague.ask("PUT", colleague.at(f"{FETES}/bal.ics"), text)
    assert status == 403 and "Salle des fêtes" in answer.decode() and "Loto" in answer.decode()
    assert booked(agent) == {"loto"}
    assert put(colleague, "bal", at("1000")) == 201
    assert put(colleague, "avant", at("0800")) == 201
    assert put(agent, "loto", at("0830")) == 403
    assert put(agent, "loto", at("0900"), more="LOCATION:Estrade") == 204
    assert put(agent, "loto", at("0900", days=11)) == 204
    assert put(colleague, "repas", at("0900")) == 201


def test_series_whole_days_and_free_time_take_it_and_what_is_called_off_does_not(
    agent: Person, room: wire.Room
) -> None:
    weekly = "RRULE:FREQ=WEEKLY"
    assert put(agent, "gym", at("1800"), more=weekly) == 201
    assert put(agent, "bal", at("1830", days=10 + 7 * 40)) == 403
    assert put(agent, "chorale", at("1830", days=3), more=weekly) == 403
    assert put(agent, "yoga", at("1900"), more=weekly) == 201
    day = f"{clock.now() + timedelta(days=12):%Y%m%d}"
    whole = event("noces", "Noces", more="TRANSP:TRANSPARENT").replace("DURATION:PT1H\r\n", "")
    whole = whole.replace("DTSTART:20261203T090000Z", f"DTSTART;VALUE=DATE:{day}")
    assert agent.ask("PUT", agent.at(f"{FETES}/noces.ics"), whole)[0] == 201
    assert put(agent, "cours", at("1200", days=12)) == 403
    assert put(agent, "noces", at("1200", days=12), more="STATUS:CANCELLED") == 204
    assert put(agent, "cours", at("1200", days=12)) == 201


def test_a_date_of_a_series_that_is_called_off_is_free(agent: Person, room: wire.Room) -> None:
    assert put(agent, "gym", at("1800"), more=f"RRULE:FREQ=WEEKLY\r\nEXDATE:{at('1800', days=17)}") == 201
    assert put(agent, "bal", at("1800", days=17)) == 201
    assert put(agent, "loto", at("1800", days=24)) == 403


def test_what_is_over_stands_in_nobody_s_way(agent: Person, room: wire.Room) -> None:
    assert put(agent, "hier", at("0900", days=-2)) == 201
    assert put(agent, "aussi", at("0930", days=-2)) == 201


def test_an_entry_is_moved_into_a_room_that_is_free_alone(agent: Person, room: wire.Room) -> None:
    assert put(agent, "loto", at("0900")) == 201
    for name, hour, expected in (("bal", "0900", 403), ("repas", "1200", 201)):
        assert put(agent, name, at(hour), place="agenda") == 201
        going = f"http://h{agent.at(f'{FETES}/{name}.ics')}"
        moved = agent.ask("MOVE", agent.at(f"agenda/{name}.ics"), HTTP_DESTINATION=going)[0]
        assert moved == expected
    assert booked(agent) == {"loto", "repas"} and agent.names("agenda") == {"bal.ics"}
    going = f"http://h{agent.at('agenda/repas.ics')}"
    assert agent.ask("MOVE", agent.at(f"{FETES}/repas.ics"), HTTP_DESTINATION=going)[0] == 201
    assert by(agent) == {"loto.ics": agent.id}


def test_who_booked_first_is_kept_with_the_entry(agent: Person, colleague: Person, room: wire.Room) -> None:
    assert put(agent, "loto", at("0900")) == 201 and put(colleague, "bal", at("1000")) == 201
    assert put(colleague, "loto", at("0900"), more="LOCATION:Estrade") == 204
    assert by(agent) == {"loto.ics": agent.id, "bal.ics": colleague.id}
    for name, another in (("loto", "tombola"), ("tombola", "loto")):
        going = f"http://h{colleague.at(f'{FETES}/{another}.ics')}"
        moved = colleague.ask("MOVE", colleague.at(f"{FETES}/{name}.ics"), HTTP_DESTINATION=going)
        assert moved[0] == 201 and by(agent) == {f"{another}.ics": agent.id, "bal.ics": colleague.id}
    assert colleague.ask("DELETE", colleague.at(f"{FETES}/loto.ics"))[0] == 200
    assert by(agent) == {"bal.ics": colleague.id}


def test_a_retired_room_is_nobody_s_and_comes_back_with_what_was_booked(
    agent: Person, colleague: Person, room: wire.Room
) -> None:
    assert put(agent, "loto", at("0900")) == 201
    assert rooms.set_retired(storage(agent), root(agent), wire.Retiring(room.name, True)).is_retired
    assert all(b"salle" not in listed(one) for one in (agent, colleague))
    assert put(colleague, "bal", at("0900")) == 409
    with pytest.raises(Conflict):
        rooms.add(storage(agent), root(agent), "salle des FETES")
    rooms.set_retired(storage(agent), root(agent), wire.Retiring(room.name, False))
    assert put(colleague, "bal", at("0900")) == 403 and booked(colleague) == {"loto"}


def test_a_name_that_is_none_and_a_room_too_many_are_refused(agent: Person) -> None:
    store, place = storage(agent), root(agent)
    for title in ("", "  ", "…/.."):
        with pytest.raises(Invalid):
            rooms.add(store, place, title)
    for number in range(rooms.MAX_ROOMS):
        rooms.add(store, place, f"Salle {number}")
    with pytest.raises(TooLarge):
        rooms.add(store, place, "Minibus")


@pytest.mark.parametrize("name", [FETES, "mairie-salle-autre"])
def test_nobody_makes_a_calendar_of_their_own_by_the_name_of_a_room(agent: Person, name: str) -> None:
    assert agent.ask("MKCALENDAR", agent.at(f"{name}/"))[0] == 403
    assert name.encode() not in listed(agent)
