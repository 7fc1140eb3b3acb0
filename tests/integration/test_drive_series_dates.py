"""Invitations to a series of which some dates are answered, changed or called off otherwise, in real calendars."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from beffroi.drive.calendars import entries, invitations, items, itip
from beffroi.drive.calendars import wire_invitations as told
from beffroi.drive.calendars.items import collection_at
from beffroi.lib.errors import Conflict, TooLarge
from radicale import item as radicale_item

from tests.integration.test_drive_noted import note, reply
from tests.integration.test_drive_proposals import GUEST, ME, OTHER, WEEKLY, Agenda, agenda, attendees, text

__all__ = ["agenda"]
LATER = "20300102T080000Z"
"""The stamp of a mail that was sent after those of the series."""
INVITED = attendees(GUEST, OTHER)


def date(day: str, *more: str, at: str = "100000", sequence: int = 1) -> tuple[str, ...]:
    """One date of the series of WEEKLY, which is on that day at ten."""
    return (
        f"RECURRENCE-ID;TZID=Europe/Paris:{day}T100000",
        f"DTSTART;TZID=Europe/Paris:{day}T{at}",
        "DURATION:PT1H",
        "SUMMARY:Point",
        f"SEQUENCE:{sequence}",
        *more,
    )


def several(method: str, *events: tuple[str, ...], stamp: str = "20300101T080000Z") -> str:
    """A mail about several dates of one series."""
    blocks = [
        text(method, *one, stamp=stamp).split("BEGIN:VEVENT")[1].split("END:VEVENT")[0] for one in events
    ]
    head, tail = text(method, *events[0], stamp=stamp).split("BEGIN:VEVENT")[0], "END:VCALENDAR\r\n"
    return head + "".join(f"BEGIN:VEVENT{one}END:VEVENT\r\n" for one in blocks) + tail


SERIES = text("REQUEST", *WEEKLY, *INVITED)


def look(agenda: Agenda, mail: str) -> told.Invitation:
    return agenda.look(mail, ME, GUEST)


def shown(agenda: Agenda) -> list[tuple[str, str, str]]:
    """(day and hour in UTC, place, one's own answer) of what the page Agenda shows of 60 days."""
    since = datetime(2030, 5, 1, tzinfo=UTC)
    found = entries.between(
        agenda.storage, [("own", agenda.paths[0])], since, since + timedelta(days=60), (GUEST,)
    )
    return [(f"{one.starts:%m-%d %H}", one.place, one.answer) for one in found.entries]


def apart(seen: told.Invitation) -> list[tuple[str, str, str, bool]]:
    return [(f"{one.starts:%m-%d %H}", one.place, one.answer, one.is_off) for one in seen.others]


# -- what is shown -----------------------------------------------------------------------------------------------


def test_the_agenda_shows_each_date_as_it_is(agenda: Agenda) -> None:
    agenda.answer(SERIES)
    moved = date("20300521", "LOCATION:Halle", *INVITED, at="150000", sequence=2)
    agenda.answer(text("REQUEST", *moved, stamp=LATER), "TENTATIVE")
    declined = text("REQUEST", *date("20300528", *INVITED, sequence=2), stamp=LATER)
    agenda.answer(declined, "DECLINED")
    off = date("20300604", "STATUS:CANCELLED", *INVITED, sequence=2)
    agenda.answer(text("REQUEST", *off, stamp=LATER))
    accepted = [(day, "", "ACCEPTED") for day in ("05-14 08", "06-11 08")]
    assert shown(agenda) == [accepted[0], ("05-21 13", "Halle", "TENTATIVE"), accepted[1]]


def test_a_series_that_is_declined_shows_the_date_that_is_accepted(agenda: Agenda) -> None:
    agenda.answer(SERIES, "DECLINED")
    assert shown(agenda) == []
    agenda.answer(text("REQUEST", *date("20300521", *INVITED, sequence=2), stamp=LATER))
    assert shown(agenda) == [("05-21 08", "", "ACCEPTED")]


def test_single_dates_of_an_unknown_series_are_taken_one_by_one_and_called_off_so(agenda: Agenda) -> None:
    days = ("20300521", "20300528", "20300604")
    for count, day in enumerate(days, 1):
        mail = text("REQUEST", *date(day, *INVITED))
        assert look(agenda, mail).state == "new"
        agenda.answer(mail)
        assert look(agenda, mail).state == "same"
        assert [one[0] for one in shown(agenda)] == ["05-21 08", "05-28 08", "06-04 08"][:count]
    assert look(agenda, SERIES).state == "update", "the whole of it is more than these dates"
    for count, day in enumerate(days, 1):
        assert note(agenda, text("CANCEL", *date(day, *INVITED, sequence=2)), GUEST).state == "absent"
        assert len(shown(agenda)) == 3 - count


def test_single_dates_that_a_program_stored_without_their_series_are_shown_and_go_on(agenda: Agenda) -> None:
    """As Evolution, DAVx5 and Apple's clients store them, in whatever order."""
    stored = several("REQUEST", *(date(day, *INVITED) for day in ("20300528", "20300521")))
    (whole,) = radicale_item.read_components(stored.replace("METHOD:REQUEST\r\n", ""))
    with agenda.storage.acquire_lock("w"):
        collection = collection_at(agenda.storage, agenda.paths[0])
        item = radicale_item.Item(collection=collection, vobject_item=whole)
        item.prepare()
        collection.upload("p.ics", item)
    assert [one[0] for one in shown(agenda)] == ["05-21 08", "05-28 08"]
    assert look(agenda, text("REQUEST", *date("20300521", *INVITED))).state == "same"
    agenda.answer(text("REQUEST", *date("20300604", *INVITED)))
    assert [one[0] for one in shown(agenda)] == ["05-21 08", "05-28 08", "06-04 08"]
    note(agenda, text("CANCEL", *date("20300521", *INVITED, sequence=2)), GUEST)
    assert len(shown(agenda)) == 2


def test_a_whole_series_takes_the_place_of_its_single_dates(agenda: Agenda) -> None:
    for day in ("20300521", "20300528"):
        agenda.answer(text("REQUEST", *date(day, *INVITED)), "DECLINED")
    agenda.answer(text("REQUEST", *WEEKLY, *INVITED, stamp=LATER))
    assert [one[0][:5] for one in shown(agenda)] == ["05-14", "05-21", "05-28", "06-04", "06-11"]
    assert len(agenda.events()) == 1


# -- the mail of the series, after one of a date -----------------------------------------------------------------


def test_the_mail_of_the_series_tells_the_dates_that_went_another_way(agenda: Agenda) -> None:
    agenda.answer(SERIES)
    moved = text(
        "REQUEST", *date("20300521", "LOCATION:Halle", *INVITED, at="150000", sequence=2), stamp=LATER
    )
    agenda.answer(moved, "DECLINED")
    note(agenda, text("CANCEL", *date("20300528", *INVITED), stamp=LATER), GUEST)
    seen = look(agenda, SERIES)
    assert (seen.state, seen.mine, seen.changes) == ("same", "ACCEPTED", 2)
    assert apart(seen) == [("05-21 13", "Halle", "DECLINED", False), ("05-28 08", "", "", True)]
    assert [one.was.day if one.was else 0 for one in seen.others] == [21, 0]


def test_an_answer_to_the_series_undoes_no_change_of_a_date(agenda: Agenda) -> None:
    agenda.answer(SERIES)
    moved = text(
        "REQUEST", *date("20300521", "LOCATION:Halle", *INVITED, at="150000", sequence=2), stamp=LATER
    )
    agenda.answer(moved, "DECLINED")
    note(agenda, text("CANCEL", *date("20300528", *INVITED), stamp=LATER), GUEST)
    sent = agenda.answer(SERIES, "TENTATIVE")
    answered = itip.parse(sent.text).events
    assert [(one.starts.day, one.attendees[0].answer) for one in answered] == [
        (14, "TENTATIVE"),
        (21, "TENTATIVE"),
    ]
    assert [one[:2] for one in shown(agenda)] == [
        ("05-14 08", ""),
        ("05-21 13", "Halle"),
        ("06-04 08", ""),
        ("06-11 08", ""),
    ]
    assert look(agenda, moved).state == "same"


def test_a_newer_series_keeps_only_what_is_newer_still(agenda: Agenda) -> None:
    agenda.answer(SERIES)
    for day, sequence, stamp in (("20300521", 2, "20300103T080000Z"), ("20300528", 1, LATER)):
        changed = date(day, f"LOCATION:Halle {day}", *INVITED, sequence=sequence)
        agenda.answer(text("REQUEST", *changed, stamp=stamp))
    newer = (*WEEKLY[:-1], "SEQUENCE:2", "LOCATION:Mairie", *INVITED)
    mail = text("REQUEST", *newer, stamp=LATER)
    assert look(agenda, mail).state == "update" and apart(look(agenda, mail))[0][1] == "Halle 20300521"
    agenda.answer(mail)
    assert [place for _, place, _ in shown(agenda)] == [
        "Mairie",
        "Halle 20300521",
        "Mairie",
        "Mairie",
        "Mairie",
    ]


def test_a_date_that_is_new_in_a_mail_of_a_known_series_is_an_update(agenda: Agenda) -> None:
    agenda.answer(SERIES)
    more = several("REQUEST", (*WEEKLY, *INVITED), date("20300521", "LOCATION:Halle", *INVITED, sequence=2))
    seen = look(agenda, more)
    assert (seen.state, apart(seen)) == ("update", [("05-21 08", "Halle", "NEEDS-ACTION", False)])
    agenda.answer(more)
    assert look(agenda, more).state == "same"
    note(agenda, text("CANCEL", *date("20300521", *INVITED, sequence=2), stamp=LATER), GUEST)
    assert look(agenda, more).state == "same", "what was called off since is nothing new"
    agenda.answer(more)
    assert "05-21 08" not in [one[0] for one in shown(agenda)]


# -- mails about several dates -----------------------------------------------------------------------------------


def test_of_several_dates_those_that_are_overtaken_do_not_count(agenda: Agenda) -> None:
    agenda.answer(SERIES)
    newest = text("REQUEST", *date("20300521", "LOCATION:Halle", *INVITED, sequence=5), stamp=LATER)
    agenda.answer(newest)
    days = [date(day, "LOCATION:Parc", *INVITED, sequence=3) for day in ("20300521", "20300528", "20300604")]
    mail = several("REQUEST", *days)
    seen = look(agenda, mail)
    assert (seen.state, seen.starts and seen.starts.day, [one[0] for one in apart(seen)]) == (
        "update",
        28,
        ["06-04 08"],
    )
    sent = agenda.answer(mail)
    assert [one.starts.day for one in itip.parse(sent.text).events] == [28, 4], (
        "and no word for the first one"
    )
    assert [one[1] for one in shown(agenda)] == ["", "Halle", "Parc", "Parc", ""]
    assert look(agenda, mail).state == "same"
    only = several("REQUEST", days[0])
    assert look(agenda, only).state == "older"
    with pytest.raises(Conflict):
        agenda.answer(only)


def test_a_date_that_is_invited_to_again_comes_back(agenda: Agenda) -> None:
    agenda.answer(SERIES)
    note(agenda, text("CANCEL", *date("20300521", *INVITED)), GUEST)
    agenda.answer(text("REQUEST", *date("20300521", "LOCATION:Halle", *INVITED, sequence=3), stamp=LATER))
    assert shown(agenda)[1] == ("05-21 08", "Halle", "ACCEPTED")
    (main, _) = agenda.events()
    assert main.left_out == ()


def test_of_several_dates_that_are_called_off_each_goes_that_is_there(agenda: Agenda) -> None:
    agenda.answer(SERIES)
    agenda.answer(text("REQUEST", *date("20300604", *INVITED, sequence=5), stamp=LATER))
    note(agenda, text("CANCEL", *date("20300521", *INVITED)), GUEST)
    days = ("20300521", "20300528", "20300604", "20300612")
    mail = several("CANCEL", *(date(day, *INVITED, sequence=2) for day in days))
    seen = look(agenda, mail)
    assert (seen.state, seen.starts and seen.starts.day, seen.others) == ("update", 28, [])
    assert note(agenda, mail, GUEST).state == "older", "one was changed since, and stays"
    assert [one[0][:5] for one in shown(agenda)] == ["05-14", "06-04", "06-11"]


def test_a_series_of_which_every_date_is_called_off_shows_none(agenda: Agenda) -> None:
    short = [one.replace("COUNT=5", "COUNT=2") for one in WEEKLY]
    agenda.answer(text("REQUEST", *short, *INVITED))
    for day in ("20300514", "20300521"):
        note(agenda, text("CANCEL", *date(day, *INVITED)), GUEST)
    assert shown(agenda) == []


# -- replies -----------------------------------------------------------------------------------------------------


def answers(agenda: Agenda) -> list[str]:
    return [next(each.answer for each in one.attendees if each.address == GUEST) for one in agenda.events()]


def replied(*events: tuple[str, str], stamp: str) -> str:
    """``events``: (day, "" for the series; the answer)."""
    blocks = []
    for day, answer in events:
        lines = date(day, f"ATTENDEE;PARTSTAT={answer}:mailto:{GUEST}")
        blocks.append(lines if day else (*WEEKLY, lines[-1]))
    return several("REPLY", *blocks, stamp=stamp)


def test_a_reply_to_the_series_overwrites_no_later_one_for_a_date(agenda: Agenda) -> None:
    agenda.put(*WEEKLY, *INVITED)
    note(agenda, reply("20300521T100000", stamp="20300102T090000Z"))
    note(agenda, replied(("", "ACCEPTED"), stamp=LATER))
    assert answers(agenda) == ["ACCEPTED", "DECLINED"]
    note(agenda, replied(("", "TENTATIVE"), stamp="20300103T080000Z"))
    assert answers(agenda) == ["TENTATIVE", "TENTATIVE"]


def test_a_reply_for_several_dates_is_noted_where_it_is_news(agenda: Agenda) -> None:
    agenda.put(*WEEKLY, *INVITED)
    note(agenda, reply("20300521T100000", stamp="20300105T080000Z"))
    mail = replied(("20300521", "ACCEPTED"), ("20300528", "ACCEPTED"), ("20300604", "TENTATIVE"), stamp=LATER)
    seen = agenda.look(mail)
    assert (seen.state, seen.starts and seen.starts.day) == ("update", 28)
    assert [(one.starts.day, one.answer) for one in seen.others] == [(4, "TENTATIVE")]
    assert note(agenda, mail).state == "same"
    assert answers(agenda) == ["NEEDS-ACTION", "DECLINED", "ACCEPTED", "TENTATIVE"]


def test_a_reply_speaks_for_one_person(agenda: Agenda) -> None:
    agenda.put(*WEEKLY, *INVITED)
    mail = replied(("20300521", "ACCEPTED"), ("20300528", "ACCEPTED"), stamp=LATER)
    head, _, rest = mail.rpartition(GUEST)
    with pytest.raises(itip.Unreadable):
        invitations.read(head + OTHER + rest)


# -- where it does not go in -------------------------------------------------------------------------------------


def test_a_calendar_that_is_full_takes_no_invitation_and_still_every_answer(
    agenda: Agenda, monkeypatch: pytest.MonkeyPatch
) -> None:
    agenda.answer(SERIES)
    monkeypatch.setattr(items, "MAX_ITEMS", 1)
    with pytest.raises(TooLarge):
        agenda.answer(text("REQUEST", *WEEKLY, *INVITED, uid="u@2"))
    agenda.answer(SERIES, "DECLINED")
    assert shown(agenda) == []


def test_more_dates_than_an_entry_holds_are_refused_before_anything_changes(agenda: Agenda) -> None:
    agenda.answer(SERIES)
    days = [f"2031{number // 28 + 1:02}{number % 28 + 1:02}" for number in range(itip.MAX_EVENTS)]
    with pytest.raises(itip.Unreadable) as caught:
        agenda.answer(several("REQUEST", *(date(day, *INVITED) for day in days)))
    assert caught.value.why == "flood" and len(agenda.events()) == 1
