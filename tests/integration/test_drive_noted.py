"""Replies and cancellations that come by mail, noted in real calendars of Radicale's store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from beffroi.drive.calendars import invitations
from beffroi.drive.calendars import wire_invitations as told
from beffroi.lib.errors import Conflict, NotFound

from tests.integration.test_drive_proposals import (
    GUEST,
    ME,
    ONE,
    OTHER,
    WEEKLY,
    Agenda,
    agenda,
    attendees,
    text,
)

__all__ = ["agenda"]


def note(agenda: Agenda, message: str, mine: str = ME) -> told.Invitation:
    return invitations.note(agenda.storage, agenda.paths, told.Noted(message, [mine]))


def reply(at: str = "", *, sequence: int = 1, stamp: str = "20300101T080000Z") -> str:
    lines = (
        f"DTSTART;TZID=Europe/Paris:{at or '20300514T100000'}",
        "DURATION:PT1H",
        f"SEQUENCE:{sequence}",
        *((f"RECURRENCE-ID;TZID=Europe/Paris:{at}",) if at else ()),
        f"ATTENDEE;PARTSTAT=DECLINED:mailto:{GUEST}",
    )
    return text("REPLY", *lines, stamp=stamp)


@pytest.mark.parametrize("at", [0, 1])
def test_a_cancellation_takes_out_of_ones_own_calendar_alone(agenda: Agenda, at: int) -> None:
    agenda.put(*ONE, *attendees(GUEST), at=at)
    called_off = text("CANCEL", *ONE[:2], "SEQUENCE:3", "STATUS:CANCELLED", *attendees(GUEST))
    if at == 0:
        assert agenda.look(called_off, ME, GUEST).state == "update"
        note(agenda, called_off, GUEST)
        assert not agenda.events(at)
        return
    assert agenda.look(called_off, ME, GUEST).state == "absent"
    with pytest.raises(NotFound):
        note(agenda, called_off, GUEST)
    assert agenda.events(at), "what all share stays"


@pytest.mark.parametrize("at", [0, 1])
def test_a_reply_for_one_date_of_a_series_is_noted_at_that_date_alone(agenda: Agenda, at: int) -> None:
    agenda.put(*WEEKLY, *attendees(GUEST, OTHER), at=at)
    declined = reply("20300521T100000")
    assert agenda.look(declined).state == "update"
    assert note(agenda, declined).state == note(agenda, declined).state == "same"
    main, date = agenda.events(at)
    assert {one.address: one.answer for one in main.attendees} == dict.fromkeys(
        (GUEST, OTHER), "NEEDS-ACTION"
    )
    assert {one.address: one.answer for one in date.attendees} == {GUEST: "DECLINED", OTHER: "NEEDS-ACTION"}
    assert date.occurrence == date.starts and date.ends - date.starts == main.ends - main.starts
    assert (date.title, date.rule, main.rule) == ("Point", "", "FREQ=WEEKLY;COUNT=5")
    if at == 0:
        assert agenda.titles("2030-05") == 3, "no date came, none went"


def test_a_reply_for_what_is_none_of_the_dates_is_not_noted(agenda: Agenda) -> None:
    agenda.put(*WEEKLY, *attendees(GUEST))
    before = agenda.events()
    for at in ("20300522T100000", "20300521T110000", "20300618T100000"):
        assert agenda.look(reply(at)).state == "absent", at
        with pytest.raises(Conflict):
            note(agenda, reply(at))
    assert agenda.events() == before


def test_a_reply_is_shown_as_an_answer_to_ones_own_entry_whatever_the_guest_s_program_says_of_it(
    agenda: Agenda,
) -> None:
    """Some programs say nothing of it, some put the answer before its title; a stranger would say anything."""
    agenda.put(*WEEKLY, "LOCATION:Mairie", *attendees(GUEST))
    one = agenda.look(
        reply("20300521T100000").replace("DURATION:PT1H", "DURATION:PT9H\r\nSUMMARY:Prime à verser")
    )
    assert (one.title, one.place, one.rule, one.state) == ("Point", "Mairie", "", "update")
    assert one.starts == datetime(2030, 5, 21, 8, tzinfo=UTC) and one.ends == one.starts + timedelta(hours=1)
    whole = agenda.look(
        reply().replace("DTSTART;TZID=Europe/Paris:20300514T100000", "DTSTART:20310101T000000Z")
    )
    assert (whole.title, whole.starts) == ("Point", datetime(2030, 5, 14, 8, tzinfo=UTC))
    assert whole.rule == WEEKLY[2].removeprefix("RRULE:")
    assert [(guest.address, guest.answer) for guest in whole.guests] == [(GUEST, "DECLINED")]


def test_an_invitation_that_moves_says_what_it_was(agenda: Agenda) -> None:
    agenda.put(*ONE, *attendees(GUEST))
    moved = (
        "DTSTART;TZID=Europe/Paris:20300515T170000",
        "DURATION:PT2H",
        "SUMMARY:Budget",
        "LOCATION:Annexe",
    )
    was = datetime(2030, 5, 14, 8, tzinfo=UTC)
    one = agenda.look(text("REQUEST", *moved, "SEQUENCE:3", *attendees(GUEST)), ME, GUEST)
    assert (one.state, one.kept_starts, one.kept_ends) == ("update", was, was + timedelta(hours=1))
    assert (one.kept_place, one.place) == ("Mairie", "Annexe")
    renamed = (ONE[0], ONE[1], "SUMMARY:Budget 2031", ONE[3], "SEQUENCE:3", *attendees(GUEST))
    same = agenda.look(text("REQUEST", *renamed), ME, GUEST)
    assert (same.state, same.kept_starts) == ("update", None), "it is when and where it was"


def test_a_date_of_a_series_that_moves_says_where_it_lay(agenda: Agenda) -> None:
    agenda.put(*WEEKLY, *attendees(GUEST))
    at = "20300521T100000"
    lines = (
        f"RECURRENCE-ID;TZID=Europe/Paris:{at}",
        "DTSTART;TZID=Europe/Paris:20300522T140000",
        "DURATION:PT1H",
    )
    one = agenda.look(text("REQUEST", *lines, "SUMMARY:Point", "SEQUENCE:2", *attendees(GUEST)), ME, GUEST)
    assert one.kept_starts == datetime(2030, 5, 21, 8, tzinfo=UTC) and not one.kept_rule
