"""A guest's other time for a series of which dates are past: those stay, the rest is a series of its own."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import UTC, datetime

import pytest
from beffroi.drive.calendars import itip
from beffroi.drive.calendars.items import collection_at
from beffroi.drive.calendars.itip import Message
from beffroi.lib import clock
from beffroi.lib.errors import Conflict

from tests.integration.test_drive_proposals import (
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
from tests.integration.test_drive_series_proposals import PARIS, TUESDAYS, later, put_all, starts_of

__all__ = ["agenda"]


def on(moment: str) -> AbstractContextManager[None]:
    """``moment``: in UTC, of 2030: "0522T1200"."""
    wanted = datetime.strptime(f"2030{moment}", "%Y%m%dT%H%M").replace(tzinfo=UTC)
    return clock.shifted((wanted - clock.now()).total_seconds())


def both(agenda: Agenda) -> tuple[Message, Message]:
    """What was, and what comes."""
    with agenda.storage.acquire_lock("r"):
        items = [one.serialize() for one in collection_at(agenda.storage, agenda.paths[0]).get_all()]
    was, comes = sorted(map(itip.parse, items), key=lambda one: one.main.uid != "u@1")
    return was, comes


def test_past_dates_stay_and_the_rest_is_a_series_that_everybody_is_asked_to_anew(agenda: Agenda) -> None:
    agenda.put(
        *WEEKLY, f"ATTENDEE;PARTSTAT=DECLINED:mailto:{GUEST}", f"ATTENDEE;PARTSTAT=ACCEPTED:mailto:{OTHER}"
    )
    proposed = later("LOCATION:Annexe")
    with on("0522T1200"):
        seen = agenda.look(proposed)
        assert seen.state == "update" and seen.keeps_past and seen.rule == "FREQ=WEEKLY;COUNT=3"
        assert (seen.starts, seen.kept_starts) == (
            datetime(2030, 5, 28, 12, 30, tzinfo=UTC),
            datetime(2030, 5, 28, 8, tzinfo=UTC),
        )
        sent = agenda.settle_all(proposed, "accept")
        assert agenda.look(proposed).state == "same"
        with pytest.raises(Conflict):
            agenda.settle_all(proposed, "accept")
    assert starts_of(agenda) == ["0514T0800", "0521T0800", "0528T1230", "0604T1230", "0611T1230"]
    was, comes = both(agenda)
    assert (was.main.rule, was.main.sequence, was.main.place) == ("FREQ=WEEKLY;COUNT=2", 2, "")
    assert (comes.main.rule, comes.main.sequence, comes.main.place) == ("FREQ=WEEKLY;COUNT=3", 0, "Annexe")
    assert {one.address: one.answer for one in was.main.attendees} == {GUEST: "DECLINED", OTHER: "ACCEPTED"}
    assert {one.address: one.answer for one in comes.main.attendees} == {
        GUEST: "ACCEPTED",
        OTHER: "NEEDS-ACTION",
    }
    assert [(one.method, one.sender, one.recipients) for one in sent] == [
        ("REQUEST", ME, sorted((GUEST, OTHER)))
    ] * 2
    told = [itip.parse(one.text).main for one in sent]
    assert [(one.uid, one.rule) for one in told] == [(one.main.uid, one.main.rule) for one in (was, comes)]
    assert was.main.uid == "u@1" != comes.main.uid and agenda.growth_bytes > 300


def test_changed_left_out_and_added_dates_go_with_their_half(agenda: Agenda) -> None:
    changed = (
        ("RECURRENCE-ID;TZID=Europe/Paris:20300528T100000", f"{PARIS}20300528T100000", "LOCATION:Halle"),
        ("RECURRENCE-ID;TZID=Europe/Paris:20300604T100000", f"{PARIS}20300605T090000", "LOCATION:Mairie"),
    )
    whole = (
        *TUESDAYS,
        "RRULE:FREQ=WEEKLY;UNTIL=20300618T080000Z",
        "EXDATE;TZID=Europe/Paris:20300521T100000,20300611T100000",
        "RDATE;TZID=Europe/Paris:20300517T100000,20300701T100000",
        *attendees(GUEST),
    )
    put_all(agenda, whole, *((*one, "DURATION:PT1H", "SUMMARY:Point", *attendees(GUEST)) for one in changed))
    with on("0529T0000"):
        agenda.settle_all(later(), "accept")
    assert starts_of(agenda) == [
        *("0514T0800", "0517T0800", "0528T0800"),
        *("0605T0700", "0618T1230", "0701T1230"),
    ]
    was, comes = both(agenda)
    assert [one.place for one in was.events] == ["Mairie", "Halle"]
    assert [one.place for one in comes.events] == ["Mairie", "Mairie"]


RULES = [
    "FREQ=DAILY;INTERVAL=3;COUNT=40",
    "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,FR;UNTIL=20301201T090000Z",
    "FREQ=WEEKLY;INTERVAL=2;BYDAY=SU,TU;WKST=SU;UNTIL=20301101T080000Z",
    "FREQ=MONTHLY",
    "FREQ=MONTHLY;BYDAY=2TU;COUNT=6",
    "FREQ=MONTHLY;INTERVAL=2;BYMONTHDAY=14,-1;UNTIL=20301014T080000Z",
    "FREQ=MONTHLY;BYDAY=MO,TU,WE;BYSETPOS=6,-1;COUNT=9",
    "FREQ=YEARLY;BYMONTH=5,7,11;BYDAY=2TU",
]


@pytest.mark.parametrize("now", ["0515T0000", "0714T0801", "0903T2200"])
@pytest.mark.parametrize("rule", RULES)
def test_another_place_changes_no_date_of_any_rule(agenda: Agenda, rule: str, now: str) -> None:
    agenda.put(*TUESDAYS, f"RRULE:{rule}", *attendees(GUEST))
    before = starts_of(agenda)
    past = [one for one in before if one <= now]
    assert before[0] == "0514T0800" and 0 < len(past) < len(before)
    with on(now):
        agenda.settle_all(
            later("LOCATION:Annexe", "DTEND;TZID=Europe/Paris:20300514T110000", at="20300514T100000").replace(
                "DURATION:PT2H\r\n", ""
            ),
            "accept",
        )
    assert starts_of(agenda) == before
    was, comes = both(agenda)
    assert (was.main.place, comes.main.place) == ("Mairie", "Annexe")
    assert f"{comes.main.starts.astimezone(UTC):%m%dT%H%M}" == before[len(past)]


def test_a_series_moves_to_another_day_from_its_next_date_on(agenda: Agenda) -> None:
    agenda.put(*TUESDAYS, "RRULE:FREQ=WEEKLY;COUNT=3", *attendees(GUEST))
    with on("0514T0900"):
        agenda.settle_all(later(at="20300516T100000"), "accept")
    assert starts_of(agenda) == ["0514T0800", "0523T0800", "0530T0800"]


def test_a_day_that_has_come_is_past(agenda: Agenda) -> None:
    days = ("DTSTART;VALUE=DATE:20300514", "DTEND;VALUE=DATE:20300515", "SUMMARY:Marché", "SEQUENCE:1")
    agenda.put(*days, "RRULE:FREQ=WEEKLY;COUNT=3", *attendees(GUEST))
    proposed = text("COUNTER", "DTSTART;VALUE=DATE:20300515", "SEQUENCE:1", *attendees(GUEST))
    with on("0520T2230"):  # the 21st in Paris
        agenda.settle_all(proposed, "accept")
    assert starts_of(agenda) == ["0514T0000", "0521T0000", "0529T0000"]


def test_dates_without_a_rule_are_split_as_well(agenda: Agenda) -> None:
    agenda.put(*TUESDAYS, "RDATE;TZID=Europe/Paris:20300701T100000,20300705T100000", *attendees(GUEST))
    with on("0601T0000"):
        agenda.settle_all(later(), "accept")
    assert starts_of(agenda) == ["0514T0800", "0701T1230", "0705T1230"]
    was, comes = both(agenda)
    assert not (was.main.dates or was.main.rule) and len(comes.main.dates) == 1


def test_a_series_of_which_no_date_took_place_moves_as_a_whole(agenda: Agenda) -> None:
    agenda.put(
        *TUESDAYS, "RRULE:FREQ=WEEKLY;COUNT=3", "EXDATE;TZID=Europe/Paris:20300514T100000", *attendees(GUEST)
    )
    with on("0515T0000"):
        seen = agenda.look(later())
        assert seen.state == "update" and not seen.keeps_past
        (sent,) = agenda.settle_all(later(), "accept")
    assert starts_of(agenda) == ["0521T1230", "0528T1230"] and itip.parse(sent.text).main.uid == "u@1"


@pytest.mark.parametrize(
    ("now", "lines", "proposed"),
    [
        ("0612T0000", ("RRULE:FREQ=WEEKLY;COUNT=5",), later()),
        ("0522T0000", ("RRULE:FREQ=WEEKLY;COUNT=5",), later("RRULE:FREQ=MONTHLY;COUNT=2")),
        ("0528T0730", ("RRULE:FREQ=WEEKLY;COUNT=5",), later(at="20300514T080000")),
        (
            "0522T0000",
            ("RRULE:FREQ=WEEKLY;COUNT=5", "RDATE;TZID=Europe/Paris:20300524T100000"),
            later(),
        ),
        ("0522T0000", ("RRULE:FREQ=WEEKLY;BYDAY=MO;COUNT=5",), later()),
    ],
    ids=[
        "it is over",
        "another rule",
        "the new time is over",
        "an added date comes first",
        "begins beside its rule",
    ],
)
def test_what_nobody_could_split_is_declined_or_left(
    agenda: Agenda, now: str, lines: tuple[str, ...], proposed: str
) -> None:
    agenda.put(*TUESDAYS, *lines, *attendees(GUEST))
    before = starts_of(agenda)
    with on(now):
        assert agenda.look(proposed).state == "series"
        with pytest.raises(Conflict):
            agenda.settle_all(proposed, "accept")
        (sent,) = agenda.settle_all(proposed, "decline")
    assert sent.method == "DECLINECOUNTER" and starts_of(agenda) == before


def test_one_date_of_a_series_that_has_begun_moves_alone(agenda: Agenda) -> None:
    agenda.put(*WEEKLY, *attendees(GUEST))
    one = counter("RECURRENCE-ID;TZID=Europe/Paris:20300528T100000", at="20300529T090000", sequence=1)
    with on("0522T1200"):
        assert not agenda.look(one).keeps_past
        (sent,) = agenda.settle_all(one, "accept")
    assert starts_of(agenda) == ["0514T0800", "0521T0800", "0529T0700", "0604T0800", "0611T0800"]
    assert itip.parse(sent.text).main.occurrence is not None


def test_room_is_asked_for_where_the_series_lies(agenda: Agenda) -> None:
    agenda.put(*WEEKLY, *attendees(GUEST), at=1)
    with on("0522T1200"):
        agenda.settle_all(later(), "accept")
    with agenda.storage.acquire_lock("r"):
        own, shared = (len(list(collection_at(agenda.storage, one).get_all())) for one in agenda.paths)
    assert (own, shared) == (0, 2) and agenda.growth_paths == [agenda.paths[1].strip("/")]
