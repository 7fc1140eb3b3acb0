"""Entries as programs store them, in real calendars: shown as they mean it, and changed by the page's form alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from beffroi.drive.calendars import entries, invitations, removed, wire
from beffroi.drive.calendars import wire_invitations as told
from beffroi.drive.calendars.items import collection_at, item_at
from beffroi.drive.calendars.wire_bringing import Which
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, NotFound
from radicale import item as radicale_item
from radicale.app import report

from tests.integration.test_drive_proposals import Agenda, agenda, text

__all__ = ["agenda"]
SINCE = datetime(2030, 5, 1, tzinfo=UTC)
NAME = "p.ics"
AFTER = "20300201T080000Z"
"""The stamp of a mail that was sent after the entry was stored."""


def whole(*events: tuple[str, ...]) -> str:
    """A stored entry of these dates."""
    parts = [
        line
        for one in events
        for line in ("BEGIN:VEVENT", "UID:u@1", "DTSTAMP:20300101T080000Z", *one, "END:VEVENT")
    ]
    return "\r\n".join(("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:x", *parts, "END:VCALENDAR", ""))


def store(agenda: Agenda, entry: str) -> Any:
    """As a program puts it; return its item."""
    components = radicale_item.read_components(entry)
    radicale_item.check_and_sanitize_items(components, 1000, tag="VCALENDAR")
    with agenda.storage.acquire_lock("w"):
        collection = collection_at(agenda.storage, agenda.paths[0])
        item = radicale_item.Item(collection=collection, vobject_item=components[0])
        item.prepare()
        return collection.upload(NAME, item)[0]


def shown(agenda: Agenda) -> list[str]:
    """Day, hour and title of what the page shows of 60 days."""
    found = entries.between(
        agenda.storage, [("own", agenda.paths[0])], SINCE, SINCE + timedelta(days=60)
    ).entries
    return [f"{one.starts:%m-%d %H} {one.title}" for one in found]


# -- dates ------------------------------------------------------------------------------------------------------

DAYS = ("DTSTART;VALUE=DATE:20300514", "RRULE:FREQ=DAILY;COUNT=4", "SUMMARY:Congés")
MOVED = ("RECURRENCE-ID;VALUE=DATE:20300515", "DTSTART;VALUE=DATE:20300520", "SUMMARY:Reporté")
OFF = ("RECURRENCE-ID;VALUE=DATE:20300516", "DTSTART;VALUE=DATE:20300516", "STATUS:CANCELLED")


def test_a_changed_day_of_a_series_of_whole_days_is_told_once(agenda: Agenda) -> None:
    item = store(agenda, whole(DAYS, MOVED, OFF))
    assert shown(agenda) == ["05-14 00 Congés", "05-17 00 Congés", "05-20 00 Reporté"]
    busy = report.freebusy_periods(item, SINCE, SINCE + timedelta(days=60), 0)
    days = sorted(f"{start.astimezone(clock.PLACE):%d}" for start, _end, kind in busy if kind == "BUSY")
    assert days == ["14", "17", "20"], "of questions of programs, too"


def test_days_without_an_end_last_all_day(agenda: Agenda) -> None:
    item = store(agenda, whole(DAYS))
    noon = SINCE + timedelta(days=14, hours=12)
    ((start, end, _kind),) = report.freebusy_periods(item, noon, noon + timedelta(hours=1), 0)
    assert (start, end) == (noon, noon + timedelta(hours=1))
    assert shown(agenda) == [f"05-{day} 00 Congés" for day in (14, 15, 16, 17)]


def test_an_entry_that_repeats_no_more_is_shown_whatever_was_left_out_of_it(agenda: Agenda) -> None:
    left_out = "EXDATE;TZID=Europe/Paris:20300521T100000"
    store(agenda, whole(("DTSTART;TZID=Europe/Paris:20300514T100000", "SUMMARY:Point", left_out)))
    assert shown(agenda) == ["05-14 08 Point"]


# -- changed on the page -----------------------------------------------------------------------------------------

MINE = "maire@nuits.test"
AT = ("DTSTART;TZID=Europe/Paris:20300514T100000", "DTEND;TZID=Europe/Paris:20300514T110059")
PLACE = "LOCATION;ALTREP=cid:x:Mairie\\n1\\, rue Haute"
INVITING = (
    f"ORGANIZER;CN=Maire;SENT-BY=secretaire@nuits.test:mailto:{MINE}",
    f"ATTENDEE;PARTSTAT=ACCEPTED;ROLE=CHAIR:mailto:{MINE}",
    "ATTENDEE;CN=^'Paul^';PARTSTAT=ACCEPTED;ROLE=OPT-PARTICIPANT:mailto:paul@beaune.test",
    "ATTENDEE;CUTYPE=ROOM;ROLE=NON-PARTICIPANT:urn:uuid:salle",
)
ENTRY = (*AT, "SUMMARY:Budget", PLACE.replace("cid:x", '"cid:x"'), *INVITING)


def save(agenda: Agenda, **changed: Any) -> list[wire.Outgoing]:
    """What the page's form says of the entry, and what was changed in it."""
    entry = entries.get(agenda.storage, "own", agenda.paths[0], NAME, [MINE])
    says = {name: getattr(entry, name) for name in ("title", "place", "all_day", "etag")}
    says |= {"starts": entry.starts.replace(second=0), "ends": entry.ends.replace(second=0)}
    says |= {"guests": [one.address for one in entry.guests], "mine": [MINE], "my_name": "Maire"}
    draft = wire.Draft("own", NAME, **(says | changed))
    return entries.save(agenda.storage, agenda.paths[0], draft, lambda _bytes: None).outgoing


def lines(agenda: Agenda) -> list[str]:
    with agenda.storage.acquire_lock("r"):
        item = item_at(collection_at(agenda.storage, agenda.paths[0]), NAME)
    return item.serialize().replace("\r\n ", "").splitlines()


def sent(outgoing: list[wire.Outgoing]) -> list[tuple[str, list[str]]]:
    return [(one.method, one.recipients) for one in outgoing]


def test_what_the_form_did_not_change_stays_as_the_program_wrote_it(agenda: Agenda) -> None:
    store(agenda, whole(ENTRY))
    before = lines(agenda)
    save(agenda, title="Budget 2031")
    own = ("SUMMARY", "DTSTAMP", "LAST-MODIFIED", "SEQUENCE")
    assert [one for one in lines(agenda) if not one.startswith(own)] == [
        one for one in before if not one.startswith(own)
    ]
    assert "SUMMARY:Budget 2031" in lines(agenda)


def test_an_hour_that_comes_twice_stays_the_second_one(agenda: Agenda) -> None:
    store(agenda, whole(("DTSTART:20301027T013000Z", "DURATION:PT1H", "SUMMARY:Garde")))
    typed = datetime(2030, 10, 27, 2, 30, tzinfo=ZoneInfo("Europe/Paris"))
    save(agenda, title="Garde de nuit", starts=typed)
    assert {"DTSTART:20301027T013000Z", "DURATION:PT1H", "SUMMARY:Garde de nuit"} <= {*lines(agenda)}


def test_an_entry_that_is_moved_stays_in_its_zone(agenda: Agenda) -> None:
    store(agenda, whole(("DTSTART;TZID=America/Cayenne:20300514T100000", "DURATION:PT1H", "SUMMARY:Visio")))
    starts = datetime(2030, 5, 14, 15, 0, tzinfo=UTC)
    save(agenda, starts=starts, ends=starts + timedelta(hours=2))
    assert {"DTSTART;TZID=America/Cayenne:20300514T120000", "DTEND;TZID=America/Cayenne:20300514T140000"} <= {
        *lines(agenda)
    }


def test_an_entry_of_the_page_keeps_its_hour_once_a_program_lets_it_repeat(agenda: Agenda) -> None:
    starts = datetime(2030, 5, 14, 8, 0, tzinfo=UTC)
    draft = wire.Draft("own", "", "", "Point", "", starts, starts + timedelta(hours=1), all_day=False)
    name = entries.save(agenda.storage, agenda.paths[0], draft, lambda _bytes: None).name
    with agenda.storage.acquire_lock("r"):
        item = item_at(collection_at(agenda.storage, agenda.paths[0]), name)
    store(agenda, item.serialize().replace("END:VEVENT", "RRULE:FREQ=MONTHLY;COUNT=8\r\nEND:VEVENT"))
    winter = datetime(2030, 12, 1, tzinfo=UTC)
    found = entries.between(agenda.storage, [("own", agenda.paths[0])], winter, winter + timedelta(days=31))
    assert {one.starts for one in found.entries} == {datetime(2030, 12, 14, 9, 0, tzinfo=UTC)}


def test_who_was_invited_before_is_told_of_a_change_and_who_was_not_is_invited(agenda: Agenda) -> None:
    store(agenda, whole(ENTRY))
    (changed,) = save(agenda, place="Annexe")
    assert changed.is_change
    (both,) = save(agenda, guests=["paul@beaune.test", "lea@beaune.test"])
    assert len(both.recipients) == 2 and not both.is_change, "one message goes to both"
    (kept,) = save(agenda, guests=["lea@beaune.test"])[:1]
    assert kept.recipients == ["lea@beaune.test"] and kept.is_change


def test_the_organizer_among_the_guests_is_never_called_off(agenda: Agenda) -> None:
    """As Thunderbird, Google and Apple's clients note them."""
    store(agenda, whole(ENTRY))
    assert sent(save(agenda, title="Budget 2031")) == [("REQUEST", ["paul@beaune.test"])]
    moved = datetime(2030, 5, 15, 8, 0, tzinfo=UTC)
    assert sent(save(agenda, starts=moved, ends=moved)) == [("REQUEST", ["paul@beaune.test"])]
    people = {one.partition(":")[2]: one for one in lines(agenda) if one.startswith("ATTENDEE")}
    assert "PARTSTAT=ACCEPTED;ROLE=CHAIR" in people[f"mailto:{MINE}"]
    assert "PARTSTAT=NEEDS-ACTION;ROLE=OPT-PARTICIPANT;RSVP=TRUE" in people["mailto:paul@beaune.test"]
    assert "urn:uuid:salle" in people
    assert sent(save(agenda, guests=[MINE])) == [("CANCEL", ["paul@beaune.test"])]
    entry = entries.get(agenda.storage, "own", agenda.paths[0], NAME, [MINE])
    asked = wire.Named("own", NAME, entry.etag, [MINE])
    gone = entries.delete(agenda.storage, agenda.paths[0], asked, lambda _item: True)
    assert gone.outgoing == []


def test_an_entry_that_is_put_back_asks_its_guests_anew_after_what_called_it_off(
    agenda: Agenda, tmp_path: Path
) -> None:
    store(agenda, whole((*ENTRY, "SEQUENCE:3")))
    before = lines(agenda)
    entry = entries.get(agenda.storage, "own", agenda.paths[0], NAME, [MINE])
    asked, keep = (
        wire.Named("own", NAME, entry.etag, [MINE]),
        partial(removed.keep, tmp_path, "agenda", "own"),
    )
    (off,) = entries.delete(agenda.storage, agenda.paths[0], asked, keep).outgoing
    assert off.method == "CANCEL" and "SEQUENCE:4" in off.text and shown(agenda) == []
    which = Which("agenda", entry.etag)
    (again,) = removed.put_back(
        agenda.storage, tmp_path, agenda.paths[0], which, lambda _bytes: None
    ).outgoing
    assert (again.method, again.recipients) == (
        "REQUEST",
        ["paul@beaune.test"],
    ) and "SEQUENCE:5" in again.text
    changed = ("SEQUENCE", "DTSTAMP", "LAST-MODIFIED", "ATTENDEE;CN=^'Paul^'")
    assert [one for one in lines(agenda) if not one.startswith(changed)] == [
        one for one in before if not one.startswith(changed)
    ]
    (paul,) = (one for one in lines(agenda) if "paul@beaune.test" in one)
    assert "PARTSTAT=NEEDS-ACTION" in paul
    with pytest.raises(NotFound):
        removed.put_back(agenda.storage, tmp_path, agenda.paths[0], which, lambda _bytes: None)


def test_an_entry_with_more_guests_than_a_form_takes_is_changed_by_programs(agenda: Agenda) -> None:
    """The form would show a hundred, and call off the others."""
    guests = [f"ATTENDEE:mailto:g{number}@beaune.test" for number in range(wire.MAX_GUESTS + 1)]
    store(agenda, whole((*AT, "SUMMARY:Vœux", f"ORGANIZER:mailto:{MINE}", *guests)))
    assert shown(agenda) == ["05-14 08 Vœux"]
    with pytest.raises(Conflict):
        save(agenda)


# -- written anew, for what a mail says --------------------------------------------------------------------------

NOTED = (
    "CATEGORIES:Finances",
    "CLASS:PRIVATE",
    "STATUS:TENTATIVE",
    "X-MOZ-LASTACK:20300101T000000Z",
    "GEO:47.0;4.8",
    "BEGIN:VALARM",
    "ACTION:DISPLAY",
    "DESCRIPTION:Budget",
    "TRIGGER:-PT15M",
    "END:VALARM",
)
ALARM = ("CLASS:PRIVATE", "CATEGORIES:Finances", "TRIGGER:-PT15M")
KEPT = {*ALARM, "STATUS:TENTATIVE", "GEO:47.0;4.8", 'LOCATION;ALTREP="cid:x":Mairie\\n1\\, rue Haute'}


def test_an_answer_of_a_guest_takes_nothing_from_the_entry(agenda: Agenda) -> None:
    store(agenda, whole((*ENTRY, *NOTED)))
    answer = text("REPLY", *AT, "ATTENDEE;PARTSTAT=DECLINED:mailto:paul@beaune.test")
    invitations.note(agenda.storage, agenda.paths, told.Noted(answer, [MINE]))
    assert set(lines(agenda)) >= KEPT
    (paul,) = (one for one in lines(agenda) if one.endswith("mailto:paul@beaune.test"))
    assert all(one in paul for one in ("PARTSTAT=DECLINED", "ROLE=OPT-PARTICIPANT", "CN=^'Paul^'"))
    entry = entries.get(agenda.storage, "own", agenda.paths[0], NAME, [MINE])
    assert [one.name for one in entry.guests] == ["", '"Paul"']
    assert any(one.endswith("urn:uuid:salle") for one in lines(agenda))


def test_a_date_that_comes_to_stand_for_itself_is_as_private_as_its_series(agenda: Agenda) -> None:
    store(agenda, whole((*ENTRY, "RRULE:FREQ=WEEKLY;COUNT=3", *NOTED)))
    at = "RECURRENCE-ID;TZID=Europe/Paris:20300521T100000"
    answer = text("REPLY", at, *AT, "ATTENDEE;PARTSTAT=DECLINED:mailto:paul@beaune.test")
    invitations.note(agenda.storage, agenda.paths, told.Noted(answer, [MINE]))
    assert [lines(agenda).count(one) for one in ALARM] == [2, 2, 2]
    answer = text("REPLY", at, *AT, "ATTENDEE;PARTSTAT=ACCEPTED:mailto:paul@beaune.test", stamp=AFTER)
    invitations.note(agenda.storage, agenda.paths, told.Noted(answer, [MINE]))
    assert [lines(agenda).count(one) for one in ALARM] == [2, 2, 2]


def test_a_new_place_of_ones_own_entry_keeps_its_alarm_and_not_where_it_was(agenda: Agenda) -> None:
    store(agenda, whole((*ENTRY, *NOTED)))
    proposal = text("COUNTER", *AT, "LOCATION:Halle", "ATTENDEE:mailto:paul@beaune.test")
    agenda.settle(proposal, "accept", "paul@beaune.test")
    assert set(lines(agenda)) >= {*ALARM, "STATUS:TENTATIVE", "LOCATION:Halle"}
    assert "GEO:47.0;4.8" not in lines(agenda)


def test_a_series_that_is_split_keeps_its_alarms_in_both_halves(agenda: Agenda) -> None:
    begun = ("DTSTART;TZID=Europe/Paris:20200514T100000", "DURATION:PT1H", "RRULE:FREQ=WEEKLY")
    store(agenda, whole((*begun, "SUMMARY:Point", *INVITING, *NOTED)))
    proposal = text(
        "COUNTER",
        *("DTSTART;TZID=Europe/Paris:20200514T150000", "DURATION:PT1H", "RRULE:FREQ=WEEKLY"),
        "ATTENDEE:mailto:paul@beaune.test",
    )
    assert len(agenda.settle_all(proposal, "accept", "paul@beaune.test")) == 2
    with agenda.storage.acquire_lock("r"):
        both = [one.serialize() for one in collection_at(agenda.storage, agenda.paths[0]).get_all()]
    assert len(both) == 2 and all("TRIGGER:-PT15M" in one and "CLASS:PRIVATE" in one for one in both)


def test_of_an_event_of_somebody_else_that_changes_ones_own_alarm_stays_and_their_link_does_not(
    agenda: Agenda,
) -> None:
    invited = (*AT, "SUMMARY:Budget", "ATTENDEE;PARTSTAT=ACCEPTED:mailto:claire@beaune.test")
    store(agenda, whole((*invited, f"ORGANIZER:mailto:{MINE}", "URL:https://x.test/", *NOTED)))
    agenda.answer(text("REQUEST", *invited, "SEQUENCE:3", stamp=AFTER))
    assert {*ALARM} <= set(lines(agenda)) and "URL:https://x.test/" not in lines(agenda)
