"""What is refused of an entry is refused for what it is: a program that hears 412 takes it for changed elsewhere,
fetches what is there, and what was typed is lost."""

from __future__ import annotations

import pytest
from beffroi.drive.calendars.store import MAX_ITEM_BYTES

from tests.fixtures_calendars import event
from tests.integration.test_calendar_attacks import Person, agent, calendars

__all__ = ["agent", "calendars"]
NEW = {"HTTP_IF_NONE_MATCH": "*"}


@pytest.mark.parametrize(
    "line", ["DTSTART:99991231T233000Z", "DTSTART;VALUE=DATE:99991231", "DURATION:P999999999D"]
)
def test_a_time_that_no_calendar_has_is_no_conflict(agent: Person, line: str) -> None:
    there = "DURATION:PT1H" if line.startswith("DURATION") else "DTSTART:20261203T090000Z"
    text = event("loin", "Loin").replace(there, line)
    if "VALUE=DATE" in line:
        text = text.replace("DURATION:PT1H\r\n", "")
    assert agent.ask("PUT", agent.at("agenda/loin.ics"), text, **NEW)[0] == 400


def test_an_entry_that_is_too_large_when_it_is_written_is_no_conflict(agent: Person) -> None:
    text = event("long", "Long", more="DESCRIPTION:" + "a" * (MAX_ITEM_BYTES - 1000))
    assert len(text) < MAX_ITEM_BYTES
    assert agent.ask("PUT", agent.at("agenda/long.ics"), text, **NEW)[0] == 413


def test_an_entry_that_is_there_is_one(agent: Person) -> None:
    agent.put("agenda/un.ics", event("un", "Un"))
    assert agent.ask("PUT", agent.at("agenda/un.ics"), event("un", "Autre"), **NEW)[0] == 412


@pytest.mark.parametrize(
    "named", ["RECURRENCE-ID;RANGE=THISANDFUTURE", "RECURRENCE-ID;RAN\r\n GE=THISANDFUTURE"]
)
def test_one_date_that_changes_all_later_ones_is_refused_and_the_series_stays(
    agent: Person, named: str
) -> None:
    series = event("cours", "Cours", more="RRULE:FREQ=WEEKLY")
    agent.put("agenda/cours.ics", series)
    before = agent.ask("GET", agent.at("agenda/cours.ics"))
    changed = (
        "BEGIN:VEVENT",
        "UID:cours",
        f"{named}:20261210T090000Z",
        "DTSTART:20261210T110000Z",
        "END:VEVENT",
    )
    text = series.replace("END:VCALENDAR", "\r\n".join((*changed, "END:VCALENDAR")))
    status, answer = agent.ask("PUT", agent.at("agenda/cours.ics"), text)
    assert status == 403 and b"RANGE" in answer
    assert agent.ask("GET", agent.at("agenda/cours.ics")) == before
    one = text.replace(named, "RECURRENCE-ID")
    assert agent.ask("PUT", agent.at("agenda/cours.ics"), one)[0] == 204
