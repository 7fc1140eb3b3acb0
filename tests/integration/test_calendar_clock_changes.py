"""How long an entry lasts in a night on which clocks change: hours pass, days are those of the calendar (RFC 5545,
3.3.6), and an end is an hour on the clock."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from beffroi.drive.calendars import entries, homes, itip

from tests.fixtures_calendars import event
from tests.integration.test_calendar_attacks import BEAUNE, Person, agent, calendars, expanding, free_between

__all__ = ["agent", "calendars"]
STARTS, DAILY = "DTSTART;TZID=Europe/Paris:20261023T220000", "RRULE:FREQ=DAILY;COUNT=3"
NIGHT = datetime(2026, 10, 24, 20, tzinfo=UTC)
"""Ten in the evening; at three it is two."""


def night(length: str, *more: str) -> str:
    text = event("garde", "Garde", more="\r\n".join((DAILY, *more)))
    return text.replace("DTSTART:20261203T090000Z", STARTS).replace("DURATION:PT1H", length)


def hours(agent: Person, text: str) -> set[float]:
    """As the page, free times and an expansion tell them of this night."""
    agent.put("agenda/garde.ics", text)
    store, place = agent.calendars._stores.home(BEAUNE, agent.id), f"/{agent.id}/{homes.AGENDA}/"
    found = entries.between(
        store.storage,
        [("own", place)],
        datetime(2026, 10, 20, tzinfo=UTC),
        datetime(2026, 10, 30, tzinfo=UTC),
    )
    ends = {one.ends for one in found.entries if one.starts == NIGHT}
    free = agent.ask("REPORT", agent.at("agenda/"), free_between("20261020", "20261030"))[1].decode()
    ends |= {moment(one) for one in re.findall("20261024T200000Z/([0-9TZ]+)", free.replace("\r\n ", ""))}
    expanded = agent.ask("REPORT", agent.at("agenda/"), expanding("20261020", "20261030"))[1].decode()
    (one,) = [one for one in expanded.split("BEGIN:VEVENT") if "DTSTART:20261024T200000Z" in one]
    ends |= {moment(end) for end in re.findall("DTEND:([0-9TZ]+)", one)}
    ends |= {NIGHT + timedelta(hours=int(lasts)) for lasts in re.findall("DURATION:PT([0-9]+)H", one)}
    return {(end - NIGHT).total_seconds() / 3600 for end in ends}


def moment(text: str) -> datetime:
    return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("length", "lasts_h"),
    [
        ("DURATION:PT8H", 8),
        ("DURATION:PT24H", 24),
        ("DURATION:P1D", 25),
        ("DURATION:P1DT2H", 27),
        ("DTEND;TZID=Europe/Paris:20261024T060000", 9),
    ],
)
def test_a_length_in_hours_is_as_long_in_the_night_of_october(
    agent: Person, length: str, lasts_h: int
) -> None:
    assert hours(agent, night(length)) == {lasts_h}


def test_so_is_a_date_that_was_changed(agent: Person) -> None:
    at = "TZID=Europe/Paris:20261024T220000"
    lines = (
        "BEGIN:VEVENT",
        "UID:garde",
        f"RECURRENCE-ID;{at}",
        f"DTSTART;{at}",
        "DURATION:PT8H",
        "END:VEVENT",
    )
    series = night("DTEND;TZID=Europe/Paris:20261024T060000")
    changed = series.replace("END:VCALENDAR", "\r\n".join((*lines, "END:VCALENDAR")))
    assert hours(agent, changed) == {8}


@pytest.mark.parametrize(("length", "lasts_h"), [("DURATION:PT8H", 8), ("DURATION:P1D", 25)])
def test_an_invitation_says_the_same(length: str, lasts_h: int) -> None:
    text = night(length).replace(DAILY, "ORGANIZER:mailto:claire@nuits.test").replace("20261023", "20261024")
    main = itip.parse(text).main
    assert main.starts.astimezone(UTC) == NIGHT
    assert (main.ends.astimezone(UTC) - NIGHT).total_seconds() == lasts_h * 3600


@pytest.mark.parametrize(
    ("length", "lasts_h"), [("DURATION:PT8H", 8), ("DURATION:P1D", 25), ("DTEND:20261025T060000", 9)]
)
def test_a_time_without_a_zone_lasts_as_long_on_the_page_as_in_an_invitation(
    agent: Person, length: str, lasts_h: int
) -> None:
    text = event("garde", "Garde").replace("DTSTART:20261203T090000Z", "DTSTART:20261024T220000")
    agent.put("agenda/garde.ics", text.replace("DURATION:PT1H", length))
    store, place = agent.calendars._stores.home(BEAUNE, agent.id), f"/{agent.id}/{homes.AGENDA}/"
    october = datetime(2026, 10, 20, tzinfo=UTC)
    found = entries.between(store.storage, [("own", place)], october, october + timedelta(days=10)).entries
    main = itip.parse(text.replace("DURATION:PT1H", length)).main
    assert [(one.starts, one.ends) for one in found] == [(main.starts, main.ends)]
    assert found[0].ends - NIGHT == timedelta(hours=lasts_h)
