"""Times without a zone and whole days are those of the collectivité, wherever a time is asked for (RFC 4791, 7.3); a
date of a series that is named without a zone is the series'."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from beffroi.drive.calendars import entries, homes

from tests.fixtures_calendars import event
from tests.integration.test_calendar_attacks import (
    BEAUNE,
    QUERY,
    Person,
    agent,
    calendars,
    expanding,
    free_between,
)

__all__ = ["agent", "calendars"]
START, LENGTH = "DTSTART:20261203T090000Z", "DURATION:PT1H\r\n"
PARIS = "DTSTART;TZID=Europe/Paris:20261203T090000"


def is_found(agent: Person, since: str, until: str) -> bool:
    asked = re.sub('start="[^"]*" end="[^"]*"', f'start="{since}" end="{until}"', QUERY)
    status, answer = agent.ask("REPORT", agent.at("agenda/"), asked)
    assert status == 207
    return b"un.ics" in answer


def busy(agent: Person) -> list[str]:
    answer = agent.ask("REPORT", agent.at("agenda/"), free_between("20261201", "20261210"))[1].decode()
    return re.findall(r"^FREEBUSY[^:\r\n]*:(\S+)", answer.replace("\r\n ", ""), re.MULTILINE)


def on_the_page(agent: Person, since: datetime, until: datetime) -> list[datetime]:
    store, place = agent.calendars._stores.home(BEAUNE, agent.id), f"/{agent.id}/{homes.AGENDA}/"
    return [one.starts for one in entries.between(store.storage, [("own", place)], since, until).entries]


@pytest.mark.parametrize(
    ("starts", "length", "since", "until"),
    [
        ("DTSTART:20261203T090000", LENGTH, "20261203T080000Z", "20261203T090000Z"),
        ("DTSTART:20260603T090000", LENGTH, "20260603T070000Z", "20260603T080000Z"),
        ("DTSTART;VALUE=DATE:20261203", "", "20261202T230000Z", "20261203T230000Z"),
    ],
)
def test_what_has_no_zone_is_found_and_busy_at_the_hours_of_the_mairie(
    agent: Person, starts: str, length: str, since: str, until: str
) -> None:
    agent.put("agenda/un.ics", event("un", "Un").replace(START, starts).replace(LENGTH, length))
    assert is_found(agent, since, until)
    assert not is_found(agent, until, until[:9] + "235900Z")
    assert not is_found(agent, f"{since[:6]}01T000000Z", since)
    if since.startswith("202612"):
        assert busy(agent) == [f"{since}/{until}"]


def test_a_whole_day_of_yesterday_is_over_today(agent: Person) -> None:
    agent.put(
        "agenda/un.ics",
        event("un", "Congé").replace(START, "DTSTART;VALUE=DATE:20261202").replace(LENGTH, ""),
    )
    second, third, fourth = (datetime(2026, 12, day, 23, tzinfo=UTC) for day in (1, 2, 3))
    assert on_the_page(agent, second, third) == [datetime(2026, 12, 2, tzinfo=UTC)]
    assert on_the_page(agent, third, fourth) == []


@pytest.mark.parametrize("named", ["20261204T090000", "20261204T080000Z"])
def test_a_changed_date_that_is_named_without_a_zone_is_told_once(agent: Person, named: str) -> None:
    changed = (
        "BEGIN:VEVENT",
        "UID:un",
        f"RECURRENCE-ID:{named}",
        "DTSTART;TZID=Europe/Paris:20261204T110000",
        "DURATION:PT1H",
        "END:VEVENT",
    )
    text = event("un", "Un", more="RRULE:FREQ=DAILY;COUNT=3").replace(START, PARIS)
    agent.put("agenda/un.ics", text.replace("END:VCALENDAR", "\r\n".join((*changed, "END:VCALENDAR"))))
    found = on_the_page(agent, datetime(2026, 12, 1, tzinfo=UTC), datetime(2026, 12, 10, tzinfo=UTC))
    assert [f"{one:%d %H}" for one in found] == ["03 08", "04 10", "05 08"]
    assert [one[:11] for one in busy(agent)] == ["20261203T08", "20261204T10", "20261205T08"]
    answer = agent.ask("REPORT", agent.at("agenda/"), expanding("20261201", "20261210"))[1].decode()
    assert re.findall("DTSTART:([0-9T]{11})", answer) == ["20261203T08", "20261204T10", "20261205T08"]


def test_so_is_one_that_is_left_out(agent: Person) -> None:
    text = event("un", "Un", more="RRULE:FREQ=DAILY;COUNT=3\r\nEXDATE:20261204T090000").replace(START, PARIS)
    agent.put("agenda/un.ics", text)
    assert [one[:11] for one in busy(agent)] == ["20261203T08", "20261205T08"]
