"""A booking reads the entries that it meets, however many others lie in the room; what is known of them may be lost."""

from __future__ import annotations

import os
import random
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from beffroi.drive.calendars import counted, effort, entries, occupied, wire
from beffroi.lib import clock

from tests.fixtures_calendars import at, event
from tests.integration.test_calendar_attacks import Person, agent, calendars
from tests.integration.test_calendar_rooms import FETES, put, room, root, storage

__all__ = ["agent", "calendars", "room"]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of entries, each time that one is read by who asks; the one who reads ahead is a thread of its own."""
    found: list[str] = []
    get = counted.Collection._get

    def noted(self: Any, href: str, verify_href: bool = True) -> Any:
        if threading.current_thread() is threading.main_thread():
            found.append(href)
        return get(self, href, verify_href)

    monkeypatch.setattr(counted.Collection, "_get", noted)
    return found


def folder(person: Person) -> Path:
    return root(person) / "mairie/salle-salle-des-fetes"


def fill(person: Person, since: int, until: int) -> None:
    """One entry a day, and each tenth a series; as a restore leaves them, behind Radicale's back."""
    for number in range(since, until):
        more = "RRULE:FREQ=YEARLY" if number % 10 == 0 else "LOCATION:Estrade"
        name = f"n{number}"
        text = event(name, name, starts=at("0900", days=11 + number), more=more)
        (folder(person) / f"{name}.ics").write_bytes(text.encode())


def by_the_page(person: Person, days: int) -> wire.Done:
    """A booking at eight in the evening of UTC, as the page stores it."""
    starts = (clock.now() + timedelta(days=days)).replace(hour=20, minute=0, second=0, microsecond=0)
    draft = wire.Draft(
        "salle-salle-des-fetes", "", "", "Loto", "", starts, starts + timedelta(hours=1), False
    )
    with effort.bounded():
        return entries.save(storage(person), f"/{person.id}/{FETES}/", draft, lambda _bytes: None)


def test_a_booking_reads_as_much_in_a_full_room_as_in_an_empty_one(
    agent: Person, room: wire.Room, read: list[str]
) -> None:
    costs = []
    for since, until in ((0, 20), (20, 200)):
        fill(agent, since, until)
        assert put(agent, f"warm{until}", at("1200", days=until)) == 201
        read.clear()
        assert put(agent, f"bal{until}", at("1800", days=until)) == 201
        assert put(agent, f"gym{until}", at("0600", days=until), more="RRULE:FREQ=DAILY;COUNT=90") == 201
        assert put(agent, f"noces{until}", at("0830", days=12)) == 403
        assert by_the_page(agent, until).booked is None
        costs.append(len(read))
    assert costs[0] == costs[1] <= 12


@pytest.mark.parametrize("damage", ["lost", "cut", "another version"])
def test_what_was_known_of_a_room_may_be_lost(agent: Person, room: wire.Room, damage: str) -> None:
    fill(agent, 0, 20)
    assert put(agent, "bal", at("0930", days=14)) == 403
    kept = folder(agent) / occupied._KEPT
    assert b"n3.ics" in kept.read_bytes()
    if damage == "lost":
        kept.unlink()
    elif damage == "cut":
        kept.write_bytes(kept.read_bytes()[:200])
    else:
        kept.write_bytes(kept.read_bytes().replace(b'"version":"', b'"version":"0', 1).replace(b"n3", b"m3"))
    assert put(agent, "bal", at("0930", days=14)) == 403
    assert put(agent, "bal", at("1030", days=14)) == 201


def test_an_entry_that_came_went_or_changed_behind_radicale_s_back_is_seen(
    agent: Person, room: wire.Room
) -> None:
    """As after a restore: the same name, the same length, the same age."""
    fill(agent, 0, 5)
    assert put(agent, "bal", at("0930", days=14)) == 403
    entry = folder(agent) / "n3.ics"
    text, before = entry.read_bytes(), entry.stat()
    entry.write_bytes(text.replace(at("0900", days=14).encode(), at("2000", days=14).encode()))
    os.utime(entry, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert put(agent, "loto", at("2030", days=14)) == 403
    assert put(agent, "bal", at("0930", days=14)) == 201
    entry.unlink()
    assert put(agent, "loto", at("2030", days=14)) == 201
    fill(agent, 5, 6)
    assert put(agent, "repas", at("0930", days=16)) == 403


def test_an_entry_s_identifier_is_another_s_of_no_room(agent: Person, room: wire.Room) -> None:
    assert put(agent, "bal", at("0900")) == 201
    again = event("bal", "Bal", starts=at("1500"))
    assert agent.ask("PUT", agent.at(f"{FETES}/autre.ics"), again)[0] == 409
    assert agent.ask("DELETE", agent.at(f"{FETES}/bal.ics"))[0] == 200
    assert agent.ask("PUT", agent.at(f"{FETES}/autre.ics"), again)[0] == 201


def test_a_series_is_known_as_far_as_somebody_may_book_however_long_ago_it_was_read(
    agent: Person, room: wire.Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert put(agent, "gym", at("1800"), more="RRULE:FREQ=WEEKLY") == 201
    assert put(agent, "warm", at("0600")) == 201
    now = clock.now() + timedelta(days=364)
    monkeypatch.setattr(clock, "now", lambda: now)
    assert put(agent, "bal", at("1830", days=10 + 7 * 100)) == 403
    assert put(agent, "bal", at("1930", days=10 + 7 * 100)) == 201


def test_what_a_question_read_before_its_time_was_over_is_not_read_again(
    agent: Person, room: wire.Room, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(agent, 0, 150)
    monkeypatch.setattr(effort, "MOST_CPU_S", 0.05)
    asked = 0
    while (status := put(agent, "bal", at("1800"))) == 507:
        asked += 1
        assert asked < 150
    assert status == 201 and asked > 1
    assert len([name for name in read if name.startswith("n")]) <= 150 + asked


def test_whatever_comes_and_goes_two_bookings_never_meet(agent: Person, room: wire.Room) -> None:
    """Against a list of all hours that are taken, with the file lost now and then."""
    chance = random.Random(int(os.environ.get("BEFFROI_TEST_SEED", "1")))
    taken: dict[str, set[int]] = {}
    refused = 0
    for number in range(80):
        day, hour, every = chance.randrange(1, 40), chance.randrange(8, 14), chance.choice((0, 1, 7))
        times = chance.randrange(2, 20) if every else 1
        rule = f"RRULE:FREQ=DAILY;INTERVAL={every};COUNT={times}" if every else "LOCATION:Estrade"
        name = chance.choice([f"n{number}", *taken])
        hours = {24 * (day + every * one) + hour for one in range(times)}
        is_free = all(hours.isdisjoint(theirs) for other, theirs in taken.items() if other != name)
        assert (put(agent, name, at(f"{hour:02d}00", days=day), more=rule) != 403) == is_free, number
        if is_free:
            taken[name] = hours
        refused += not is_free
        if chance.random() < 0.2 and taken:
            going = chance.choice(list(taken))
            assert agent.ask("DELETE", agent.at(f"{FETES}/{going}.ics"))[0] == 200
            del taken[going]
        if chance.random() < 0.1:
            (folder(agent) / occupied._KEPT).unlink(missing_ok=True)
    assert 10 < refused < 70
