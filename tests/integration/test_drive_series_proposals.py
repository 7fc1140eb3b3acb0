"""A guest's other time for a whole series: what moves along, what is not taken; against Radicale's store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from beffroi.drive.calendars import entries, itip, kept
from beffroi.drive.calendars.items import collection_at
from beffroi.lib.errors import Conflict

from tests.integration.test_drive_proposals import (
    AT,
    GUEST,
    ME,
    OTHER,
    WEEKLY,
    Agenda,
    agenda,
    attendees,
    counter,
    text,
)

__all__ = ["agenda"]
PARIS = "DTSTART;TZID=Europe/Paris:"
TUESDAYS = (AT, "DURATION:PT1H", "SUMMARY:Point", "SEQUENCE:1", "LOCATION:Mairie")
"""From Tuesday, 14 May 2030, 10:00."""


def put_all(agenda: Agenda, *events: tuple[str, ...]) -> None:
    """A series, and dates of it that were changed."""
    whole = "".join(
        text("REQUEST", *one).partition("METHOD:REQUEST\r\n")[2].removesuffix("END:VCALENDAR\r\n")
        for one in events
    )
    message = itip.parse(
        f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nMETHOD:REQUEST\r\n{whole}END:VCALENDAR\r\n"
    )
    with agenda.storage.acquire_lock("w"):
        kept.store(collection_at(agenda.storage, agenda.paths[0]), None, message.events)


def later(*more: str, at: str = "20300514T143000") -> str:
    """Half past two, for two hours."""
    return counter(*more, at=at, sequence=1)


def starts_of(agenda: Agenda) -> list[str]:
    """All occurrences of the year, in UTC."""
    since = datetime(2030, 1, 1, tzinfo=UTC)
    found = []
    for month in range(12):
        first = since + timedelta(days=31 * month)
        shown = entries.between(agenda.storage, [("own", agenda.paths[0])], first, first + timedelta(days=31))
        found += [f"{one.starts:%m%dT%H%M}" for one in shown.entries]
    return sorted(set(found))


def test_an_accepted_proposal_moves_all_dates_and_asks_everybody_anew(agenda: Agenda) -> None:
    agenda.put(*WEEKLY, *attendees(GUEST, OTHER))
    proposed = later("LOCATION:Annexe")
    seen = agenda.look(proposed)
    assert (seen.state, seen.rule, seen.kept_rule) == (
        "update",
        "FREQ=WEEKLY;COUNT=5",
        "FREQ=WEEKLY;COUNT=5",
    )
    assert seen.starts and seen.kept_starts and seen.starts - seen.kept_starts == timedelta(hours=4.5)
    sent = agenda.settle(proposed, "accept")
    assert (sent.method, sent.sender, sent.recipients) == ("REQUEST", ME, sorted((GUEST, OTHER)))
    (now,) = agenda.events()
    assert (now.title, now.place, now.sequence, now.rule) == ("Point", "Annexe", 2, "FREQ=WEEKLY;COUNT=5")
    assert {one.address: one.answer for one in now.attendees} == {GUEST: "ACCEPTED", OTHER: "NEEDS-ACTION"}
    assert starts_of(agenda) == ["0514T1230", "0521T1230", "0528T1230", "0604T1230", "0611T1230"]
    assert itip.parse(sent.text).main.rule == now.rule
    assert agenda.look(proposed).state == "same"
    with pytest.raises(Conflict):
        agenda.settle(proposed, "accept")


def test_a_proposal_in_another_zone_keeps_the_hour_of_the_series_in_winter(agenda: Agenda) -> None:
    agenda.put(*TUESDAYS, "RRULE:FREQ=MONTHLY;COUNT=7", *attendees(GUEST))
    proposed = text(
        *("COUNTER", "DTSTART:20300514T120000Z", "DTEND:20300514T130000Z", "SEQUENCE:1"), *attendees(GUEST)
    )
    agenda.settle(proposed, "accept")
    assert starts_of(agenda) == [
        *("0514T1200", "0614T1200", "0714T1200", "0814T1200", "0914T1200", "1014T1200", "1114T1300")
    ]


def test_dates_of_their_own_left_out_and_changed_move_along(agenda: Agenda) -> None:
    changed = (
        ("RECURRENCE-ID;TZID=Europe/Paris:20300528T100000", f"{PARIS}20300528T100000", "LOCATION:Halle"),
        ("RECURRENCE-ID;TZID=Europe/Paris:20300604T100000", f"{PARIS}20300605T090000", "LOCATION:Mairie"),
    )
    whole = (
        *TUESDAYS,
        "RRULE:FREQ=WEEKLY;UNTIL=20300611T080000Z",
        "EXDATE;TZID=Europe/Paris:20300521T100000",
        "RDATE;TZID=Europe/Paris:20300701T100000",
        *attendees(GUEST),
    )
    events = [whole, *((*one, "DURATION:PT1H", "SUMMARY:Point", *attendees(GUEST)) for one in changed)]
    put_all(agenda, *events)
    agenda.settle(later(), "accept")
    assert starts_of(agenda) == ["0514T1230", "0528T1230", "0605T0700", "0611T1230", "0701T1230"]
    main, *others = agenda.events()
    assert main.sequence == 2 and {one.sequence for one in others} == {2}
    assert {one.place for one in others} == {"Halle", "Mairie"}


@pytest.mark.parametrize(
    ("rule", "proposed", "starts"),
    [
        ("FREQ=WEEKLY;COUNT=2", later(at="20300516T100000"), ["0516T0800", "0523T0800"]),
        (
            "FREQ=WEEKLY;BYDAY=TU;COUNT=2",
            later("RRULE:FREQ=WEEKLY;BYDAY=TH;COUNT=2", at="20300516T100000"),
            ["0516T0800", "0523T0800"],
        ),
        (
            "FREQ=WEEKLY;COUNT=3",
            later("RRULE:FREQ=MONTHLY;COUNT=2", at="20300514T100000"),
            ["0514T0800", "0614T0800"],
        ),
        (
            "FREQ=WEEKLY;BYDAY=TU;UNTIL=20300521T080000Z",
            later("RRULE:FREQ=WEEKLY;UNTIL=20300521T123000Z;BYDAY=TU;WKST=MO"),
            ["0514T1230", "0521T1230"],
        ),
    ],
)
def test_a_series_that_is_nothing_but_its_rule_moves_to_another_day_or_rule(
    agenda: Agenda, rule: str, proposed: str, starts: list[str]
) -> None:
    agenda.put(*TUESDAYS, f"RRULE:{rule}", *attendees(GUEST))
    assert agenda.look(proposed).state == "update"
    agenda.settle(proposed, "accept")
    assert starts_of(agenda) == starts


@pytest.mark.parametrize(
    ("lines", "proposed"),
    [
        (("RRULE:FREQ=WEEKLY;BYDAY=TU;COUNT=3",), later(at="20300516T100000")),
        (
            ("RRULE:FREQ=WEEKLY;COUNT=3", "EXDATE;TZID=Europe/Paris:20300521T100000"),
            later(at="20300516T100000"),
        ),
        (("RDATE;TZID=Europe/Paris:20300701T100000",), later(at="20300516T100000")),
        (
            ("RRULE:FREQ=WEEKLY;COUNT=3",),
            later("RRULE:FREQ=WEEKLY;UNTIL=20300515T000000Z", at="20300516T100000"),
        ),
        (
            ("RRULE:FREQ=WEEKLY;COUNT=3",),
            text("COUNTER", "DTSTART;VALUE=DATE:20300514", "SEQUENCE:1", *attendees(GUEST)),
        ),
    ],
)
def test_what_nobody_could_place_is_declined_or_left(
    agenda: Agenda, lines: tuple[str, ...], proposed: str
) -> None:
    agenda.put(*TUESDAYS, *lines, *attendees(GUEST))
    before = starts_of(agenda)
    assert agenda.look(proposed).state == "series"
    with pytest.raises(Conflict):
        agenda.settle(proposed, "accept")
    assert agenda.settle(proposed, "decline").method == "DECLINECOUNTER" and starts_of(agenda) == before


def test_a_date_with_guests_of_its_own_keeps_the_series_where_it_is(agenda: Agenda) -> None:
    one = ("RECURRENCE-ID;TZID=Europe/Paris:20300521T100000", f"{PARIS}20300521T100000", "DURATION:PT1H")
    put_all(agenda, (*WEEKLY, *attendees(GUEST)), (*one, "SUMMARY:Point", *attendees(GUEST, OTHER)))
    assert agenda.look(later()).state == "series"
