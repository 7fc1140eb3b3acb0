"""Proposals of guests, questions for an invitation and added dates, against real calendars of Radicale's store."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from beffroi.drive.calendars import entries, homes, invitations, itip, kept, proposals, wire
from beffroi.drive.calendars import wire_invitations as told
from beffroi.drive.calendars.items import collection_at
from beffroi.drive.calendars.itip import Event, Unreadable
from beffroi.drive.calendars.store import Stores
from beffroi.lib.config import Config
from beffroi.lib.errors import Conflict, Invalid
from beffroi.lib.ids import new_id

ME, GUEST, OTHER, STRANGER = "maire@nuits.test", "claire@beaune.test", "paul@beaune.test", "mallory@evil.test"
AT = "DTSTART;TZID=Europe/Paris:20300514T100000"
ONE = (AT, "DURATION:PT1H", "SUMMARY:Budget", "LOCATION:Mairie", "SEQUENCE:2")
WEEKLY = (AT, "DURATION:PT1H", "RRULE:FREQ=WEEKLY;COUNT=5", "SUMMARY:Point", "SEQUENCE:1")


def text(
    method: str, *lines: str, organizer: str = ME, uid: str = "u@1", stamp: str = "20300101T080000Z"
) -> str:
    whole = ("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:x", f"METHOD:{method}", "BEGIN:VEVENT", f"UID:{uid}")
    more = (f"DTSTAMP:{stamp}", f"ORGANIZER:mailto:{organizer}", *lines, "END:VEVENT", "END:VCALENDAR", "")
    return "\r\n".join((*whole, *more))


def attendees(*addresses: str) -> tuple[str, ...]:
    return tuple(f"ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:{one}" for one in addresses)


@dataclass
class Agenda:
    """One's own calendar and the one that all share, in a store of their own."""

    storage: Any
    paths: list[str]
    growth_bytes: int = 0
    growth_paths: list[str] = field(default_factory=list)

    def put(self, *lines: str, at: int = 0, organizer: str = ME) -> None:
        message = itip.parse(text("REQUEST", *lines, organizer=organizer))
        with self.storage.acquire_lock("w"):
            kept.store(collection_at(self.storage, self.paths[at]), None, message.events)

    def look(self, calendar: str, sender: str = GUEST, mine: str = ME) -> told.Invitation:
        return invitations.look(self.storage, self.paths, told.Received(calendar, [mine], sender))

    def settle(self, calendar: str, what: told.What, sender: str = GUEST, mine: str = ME) -> wire.Outgoing:
        (sent,) = self.settle_all(calendar, what, sender, mine)
        return sent

    def settle_all(
        self, calendar: str, what: told.What, sender: str = GUEST, mine: str = ME
    ) -> list[wire.Outgoing]:
        def require(path: str, growth_bytes: int) -> None:
            self.growth_paths.append(path)
            self.growth_bytes += growth_bytes

        asked = told.Settled(calendar, [mine], sender, what)
        message = invitations.read(calendar, sender)
        return proposals.settle(self.storage, self.paths, message, asked, require)

    def answer(self, calendar: str, answer: told.Answer = "ACCEPTED", mine: str = GUEST) -> wire.Outgoing:
        return invitations.answer(
            self.storage, self.paths[0], told.Answered(calendar, [mine], "Claire", answer)
        )

    def events(self, at: int = 0) -> tuple[Event, ...]:
        with self.storage.acquire_lock("r"):
            found = kept.find(collection_at(self.storage, self.paths[at]), "u@1")
        return found.message.events if found is not None else ()

    def titles(self, month: str) -> int:
        """How many entries the page shows in a month."""
        since = datetime.strptime(month + "-01", "%Y-%m-%d").replace(tzinfo=UTC)
        found = entries.between(self.storage, [("own", self.paths[0])], since, since + timedelta(days=31))
        return len(found.entries)


@pytest.fixture
def agenda(tmp_path: Path) -> Agenda:
    person = new_id("per")
    storage = Stores(Config(state=tmp_path), lambda *grown: None).home(new_id("col"), person).storage
    return Agenda(storage, [f"/{person}/{homes.AGENDA}/", f"/{person}/{homes.SHARED_AGENDA}/"])


def counter(
    *more: str, at: str = "20300515T140000", sequence: int = 2, who: str = GUEST, **kinds: str
) -> str:
    lines = (
        f"DTSTART;TZID=Europe/Paris:{at}",
        "DURATION:PT2H",
        f"SEQUENCE:{sequence}",
        *attendees(who),
        *more,
    )
    return text("COUNTER", *lines, **kinds)


# -- COUNTER -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [0, 1])
def test_an_accepted_proposal_moves_the_entry_and_asks_everybody_anew(agenda: Agenda, at: int) -> None:
    agenda.put(*ONE, *attendees(GUEST, OTHER), at=at)
    proposed = counter("SUMMARY:Autre titre", "LOCATION:Annexe", "DESCRIPTION:Je préfère.")
    seen = agenda.look(proposed)
    assert (seen.method, seen.state, seen.place, seen.kept_place) == ("COUNTER", "update", "Annexe", "Mairie")
    assert (
        seen.starts
        and seen.kept_starts
        and seen.kept_ends
        and seen.starts > seen.kept_ends > seen.kept_starts
    )
    assert [one.address for one in seen.guests] == [GUEST] and seen.words == "Je préfère."
    sent = agenda.settle(proposed, "accept")
    assert (sent.method, sent.sender, sent.recipients) == ("REQUEST", ME, sorted((GUEST, OTHER)))
    assert sent.is_change
    (now,) = agenda.events(at)
    assert (now.title, now.place, now.sequence) == ("Budget", "Annexe", 3), "its words are not taken"
    assert {one.address: one.answer for one in now.attendees} == {GUEST: "ACCEPTED", OTHER: "NEEDS-ACTION"}
    assert itip.parse(sent.text).main.starts == now.starts == itip.parse(proposed).main.starts
    assert agenda.look(proposed).state == "same", "it was answered"
    assert agenda.look(counter(stamp="20300102T080000Z")).state == "older", "it is about what was before"
    with pytest.raises(Conflict):
        agenda.settle(proposed, "accept")


def test_a_declined_proposal_changes_nothing_and_is_answered_once(agenda: Agenda) -> None:
    agenda.put(*ONE, *attendees(GUEST, OTHER))
    (before,) = agenda.events()
    sent = agenda.settle(counter("DESCRIPTION:Secret"), "decline")
    assert (sent.method, sent.sender, sent.recipients) == ("DECLINECOUNTER", ME, [GUEST])
    declined = itip.parse(sent.text)
    assert declined.method == "DECLINECOUNTER" and [one.address for one in declined.main.attendees] == [GUEST]
    (now,) = agenda.events()
    assert (now.starts, now.sequence, now.stamp) == (before.starts, before.sequence, before.stamp)
    assert agenda.look(counter()).state == "same"
    for what in ("accept", "decline"):
        with pytest.raises(Conflict):
            agenda.settle(counter(), what)
    later = counter(stamp="20300102T080000Z")
    assert (
        agenda.look(later).state == "update"
        and agenda.look(counter(stamp="20291231T080000Z")).state == "older"
    )


def test_one_date_of_a_series_moves_and_the_others_stay(agenda: Agenda) -> None:
    agenda.put(*WEEKLY, *attendees(GUEST, OTHER))
    second = "RECURRENCE-ID;TZID=Europe/Paris:20300521T100000"
    proposed = counter(second, at="20300522T100000", sequence=1)
    seen = agenda.look(proposed)
    assert seen.state == "update" and seen.occurrence == seen.kept_starts
    sent = itip.parse(agenda.settle(proposed, "accept").text)
    assert [one.occurrence for one in sent.events] == [itip.parse(proposed).main.occurrence]
    series, moved = agenda.events()
    assert series.rule and series.sequence == 1 and moved.starts == itip.parse(proposed).main.starts
    assert agenda.titles("2030-05") == 3
    assert (
        agenda.look(counter("RECURRENCE-ID;TZID=Europe/Paris:20300523T100000", sequence=1)).state == "absent"
    )


def test_a_proposal_for_a_whole_series_that_cannot_move_is_declined_or_left(agenda: Agenda) -> None:
    agenda.put(*WEEKLY, "EXDATE;TZID=Europe/Paris:20300521T100000", *attendees(GUEST))
    assert agenda.look(counter(sequence=1)).state == "series"
    with pytest.raises(Conflict):
        agenda.settle(counter(sequence=1), "accept")
    assert agenda.settle(counter(sequence=1), "decline").method == "DECLINECOUNTER"
    assert agenda.events()[0].rule


@pytest.mark.parametrize(
    ("calendar", "sender", "state"),
    [
        (counter(who=STRANGER), STRANGER, "stranger"),
        (counter(sequence=1), GUEST, "older"),
        (counter(uid="u@2"), GUEST, "absent"),
        (counter(organizer=STRANGER), GUEST, "foreign"),
    ],
)
def test_a_proposal_that_does_not_count_changes_nothing(
    agenda: Agenda, calendar: str, sender: str, state: str
) -> None:
    agenda.put(*ONE, *attendees(GUEST, OTHER))
    before = agenda.events()
    assert agenda.look(calendar, sender).state == state
    for what in ("accept", "decline"):
        with pytest.raises(Conflict):
            agenda.settle(calendar, what, sender)
    assert agenda.events() == before


def test_who_is_not_the_organizer_accepts_nothing_in_their_name(agenda: Agenda) -> None:
    agenda.put(*ONE, *attendees(GUEST, OTHER), organizer=STRANGER)
    proposed = counter(organizer=STRANGER)
    assert agenda.look(proposed).state == "foreign"
    with pytest.raises(Conflict):
        agenda.settle(proposed, "accept")


@pytest.mark.parametrize(
    ("calendar", "sender", "why"),
    [
        (counter(*attendees(OTHER)), STRANGER, "syntax"),  # two guests, and neither sent it
        (text("COUNTER", AT, "SEQUENCE:2"), GUEST, "syntax"),
        (counter().replace("DURATION:PT2H", "DTEND:20350101T000000Z"), GUEST, "time"),
        (counter().replace("DTSTART", "X-DTSTART"), GUEST, "time"),
        (counter("RRULE:FREQ=SECONDLY"), GUEST, "rule"),
        (text("REFRESH"), GUEST, "syntax"),
        (text("REFRESH", *attendees(GUEST, OTHER)), STRANGER, "syntax"),
        (text("ADD", AT, "RRULE:FREQ=DAILY;COUNT=3"), GUEST, "rule"),
        (text("ADD", AT, "RECURRENCE-ID:20300514T100000Z"), GUEST, "rule"),
        (text("ADD", AT).replace("ORGANIZER:", "X-O:"), GUEST, "organizer"),
        (text("PUBLISH", AT), GUEST, "method"),
    ],
)
def test_what_says_too_little_or_too_much_is_unreadable(
    agenda: Agenda, calendar: str, sender: str, why: str
) -> None:
    assert agenda.look(calendar, sender).readable == why
    with pytest.raises(Unreadable):
        agenda.settle(calendar, "accept", sender)


def test_of_several_guests_the_sender_is_who_proposes(agenda: Agenda) -> None:
    agenda.put(*ONE, *attendees(GUEST, OTHER))
    proposed = counter(*attendees(OTHER))
    assert [one.address for one in agenda.look(proposed, OTHER).guests] == [OTHER]
    assert agenda.settle(proposed, "decline", OTHER).recipients == [OTHER]


# -- REFRESH -----------------------------------------------------------------------------------------------------


def test_a_guest_who_asks_is_sent_the_entry_as_it_is(agenda: Agenda) -> None:
    agenda.put(*ONE, *attendees(GUEST, OTHER))
    asked = text("REFRESH", *attendees(GUEST))
    seen = agenda.look(asked)
    assert (seen.state, seen.title, seen.place) == ("update", "Budget", "Mairie") and seen.starts
    sent = agenda.settle(asked, "resend")
    assert (sent.method, sent.recipients) == ("REQUEST", [GUEST])
    assert itip.parse(sent.text).main.sequence == 2 and itip.parse(sent.text).main.title == "Budget"
    assert agenda.events()[0].sequence == 2, "nothing changed here"


def test_only_who_is_invited_is_sent_anything_and_only_their_own_dates(agenda: Agenda) -> None:
    agenda.put(*WEEKLY, *attendees(OTHER))
    changed = itip.parse(
        text(
            "REQUEST",
            "RECURRENCE-ID;TZID=Europe/Paris:20300521T100000",
            *(
                "DTSTART;TZID=Europe/Paris:20300521T150000",
                "DURATION:PT1H",
                "SUMMARY:Avec Claire",
                "SEQUENCE:1",
            ),
            *attendees(GUEST, OTHER),
        )
    )
    with agenda.storage.acquire_lock("w"):
        collection = collection_at(agenda.storage, agenda.paths[0])
        found = kept.find(collection, "u@1")
        assert found is not None
        kept.store(collection, found, [*found.message.events, *changed.events])
    sent = itip.parse(agenda.settle(text("REFRESH", *attendees(GUEST)), "resend").text)
    assert [one.title for one in sent.events] == ["Avec Claire"]
    asked = text("REFRESH", *attendees(STRANGER))
    assert agenda.look(asked, STRANGER).state == "stranger"
    with pytest.raises(Conflict):
        agenda.settle(asked, "resend", STRANGER)
    gone = text("REFRESH", *attendees(GUEST), uid="u@9")
    assert agenda.look(gone).state == "absent" and agenda.look(gone).starts is None


# -- ADD ---------------------------------------------------------------------------------------------------------


def an_addition(*more: str, starts: str = "20300528T100000", sequence: int = 2, **kinds: str) -> str:
    lines = (f"DTSTART;TZID=Europe/Paris:{starts}", "DURATION:PT1H", "SUMMARY:Point", f"SEQUENCE:{sequence}")
    return text("ADD", *lines, *more, organizer=kinds.pop("organizer", STRANGER), **kinds)


@pytest.fixture
def guest(agenda: Agenda) -> Agenda:
    """Claire accepted a series of two dates of somebody."""
    series = (
        AT,
        "DURATION:PT1H",
        "RRULE:FREQ=WEEKLY;COUNT=2",
        "SUMMARY:Point",
        "SEQUENCE:1",
        *attendees(GUEST),
    )
    agenda.answer(text("REQUEST", *series, organizer=STRANGER))
    assert agenda.titles("2030-05") == 2
    return agenda


def test_added_dates_stand_beside_their_series(guest: Agenda) -> None:
    more = an_addition("RDATE;TZID=Europe/Paris:20300529T100000", *attendees(GUEST))
    seen = guest.look(more, STRANGER, GUEST)
    assert (seen.method, seen.state, seen.changes) == ("ADD", "update", 1)
    sent = guest.answer(more)
    assert (sent.method, sent.recipients) == ("REPLY", [STRANGER])
    assert (
        len(itip.parse(sent.text).events) == 2
        and itip.parse(sent.text).main.attendees[0].answer == "ACCEPTED"
    )
    assert guest.titles("2030-05") == 4
    assert len(guest.events()) == 1, "the same as the series: no more than its dates"
    assert guest.look(more, STRANGER, GUEST).state == "same"
    with pytest.raises(Conflict):
        guest.answer(more)


def test_an_added_date_that_differs_stands_for_itself(guest: Agenda) -> None:
    guest.answer(an_addition("LOCATION:Salle des fêtes", starts="20300528T180000"))
    series, other = guest.events()
    assert (series.place, other.place) == ("", "Salle des fêtes") and guest.titles("2030-05") == 3
    guest.answer(an_addition(starts="20300530T100000", sequence=3), "DECLINED")
    assert guest.events()[0].dates and len(guest.events()) == 3


def test_an_added_date_of_another_s_or_overtaken_or_of_another_kind_is_refused(guest: Agenda) -> None:
    before = guest.events()
    for wrong, state in ((an_addition(organizer=OTHER), "foreign"), (an_addition(sequence=0), "older")):
        assert guest.look(wrong, OTHER, GUEST).state == state
        with pytest.raises(Conflict):
            guest.answer(wrong)
    whole_day = text("ADD", "DTSTART;VALUE=DATE:20300528", "SEQUENCE:2", organizer=STRANGER)
    with pytest.raises(Unreadable):
        guest.answer(whole_day)
    many = ",".join(
        f"203101{1 + number // 3:02}T{8 + number % 3:02}0000" for number in range(itip.MAX_EVENTS)
    )
    with pytest.raises(Unreadable, match="flood"):
        guest.answer(an_addition(f"RDATE;TZID=Europe/Paris:{many}"))
    assert guest.events() == before


def test_of_a_series_that_is_not_there_the_whole_is_asked_for(agenda: Agenda) -> None:
    more = an_addition(*attendees(GUEST))
    assert agenda.look(more, STRANGER, GUEST).state == "absent"
    with pytest.raises(Conflict):
        agenda.answer(more)
    sent = agenda.settle(more, "ask", STRANGER, GUEST)
    assert (sent.method, sent.sender, sent.recipients) == ("REFRESH", GUEST, [STRANGER])
    asked = itip.parse(sent.text)
    assert (asked.method, asked.main.uid, asked.main.title) == ("REFRESH", "u@1", "")
    assert "DTSTART" not in sent.text and agenda.events() == ()


def test_more_changed_dates_than_can_be_read_again_are_not_taken(guest: Agenda) -> None:
    with pytest.raises(Unreadable, match="flood"):
        for number in range(itip.MAX_EVENTS):
            guest.answer(
                an_addition(f"LOCATION:Salle {number}", starts=f"2031{1 + number // 28:02}{1 + number % 28:02}T100000",
                            sequence=2 + number)
            )  # fmt: skip
    assert len(guest.events()) == itip.MAX_EVENTS, "and what is there can still be read"


# -- DECLINECOUNTER and the rest -----------------------------------------------------------------------------------


def test_a_refused_proposal_is_told_and_changes_nothing(guest: Agenda) -> None:
    refused = text("DECLINECOUNTER", AT, *attendees(GUEST), organizer=STRANGER)
    before = guest.events()
    assert guest.look(refused, STRANGER, GUEST).state == "update"
    for what in ("accept", "decline", "resend", "ask"):
        with pytest.raises(Invalid):
            guest.settle(refused, what, STRANGER, GUEST)
    assert guest.events() == before
    assert guest.look(refused.replace("u@1", "u@7"), STRANGER, GUEST).state == "absent"
    assert guest.look(refused.replace(STRANGER, OTHER), OTHER, GUEST).state == "foreign"


@pytest.mark.parametrize("method", ["REQUEST", "CANCEL", "REPLY"])
def test_other_messages_are_not_settled(agenda: Agenda, method: str) -> None:
    with pytest.raises(Invalid):
        agenda.settle(text(method, *ONE, *attendees(GUEST)), "accept")
