"""Invitations read and written: what they say, and what becomes of hostile ones."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from beffroi.drive.calendars import itip, itip_text
from beffroi.drive.calendars.itip import Attendee, Unreadable

PARIS = ZoneInfo("Europe/Paris")
OUTLOOK = """BEGIN:VTIMEZONE
TZID:{name}
BEGIN:STANDARD
DTSTART:16010101T030000
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
RRULE:{rule}
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:16010101T020000
TZOFFSETFROM:+0100
TZOFFSETTO:+0200
RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3
END:DAYLIGHT
END:VTIMEZONE
"""
AUTUMN = "FREQ=YEARLY;INTERVAL=1;BYDAY=-1SU;BYMONTH=10"


def event(*more: str, uid: str = "UID:a@b", starts: str = "DTSTART:20261203T090000Z") -> str:
    lines = [
        "BEGIN:VEVENT",
        uid,
        "DTSTAMP:20261101T080000Z",
        starts,
        "ORGANIZER;CN=Jean:MAILTO:Jean@Nuits.test",
        *more,
    ]
    return "\n".join([line for line in lines if line] + ["END:VEVENT", ""])


def message(*parts: str, method: str = "METHOD:REQUEST") -> str:
    return "\n".join(["BEGIN:VCALENDAR", "VERSION:2.0", method, ""]) + "".join(parts) + "END:VCALENDAR\n"


@pytest.mark.parametrize(
    ("line", "starts"),
    [
        ("DTSTART:20261203T090000Z", datetime(2026, 12, 3, 9, tzinfo=UTC)),
        ("DTSTART:20261203T100000", datetime(2026, 12, 3, 10, tzinfo=PARIS)),
        ("DTSTART;TZID=Europe/Paris:20260703T100000", datetime(2026, 7, 3, 10, tzinfo=PARIS)),
        ("DTSTART;TZID=Romance Standard Time:20261203T100000", datetime(2026, 12, 3, 10, tzinfo=PARIS)),
        ("DTSTART;TZID=America/New_York:20261203T040000", datetime(2026, 12, 3, 9, tzinfo=UTC)),
        ("DTSTART;VALUE=DATE:20261203", date(2026, 12, 3)),
    ],
)
def test_a_time_is_read_in_its_zone(line: str, starts: date) -> None:
    found = itip.parse(message(event(starts=line))).main
    assert found.starts == starts and found.zone_known


def test_a_zone_of_the_text_is_read_and_never_holds_for_others() -> None:
    """A mail that calls New York "Europe/Paris" moves nobody's calendar."""
    block = OUTLOOK.format(name="Chez nous", rule=AUTUMN)
    found = itip.parse(
        message(block, event("RRULE:FREQ=WEEKLY", starts="DTSTART;TZID=Chez nous:20260703T100000"))
    ).main
    assert found.starts == datetime(2026, 7, 3, 10, tzinfo=PARIS) and found.zone_known
    assert "DTSTART;TZID=Europe/Paris:20260703T100000" in itip_text.calendar("", [found])
    lie = OUTLOOK.replace("+0", "-0").format(name="Europe/Paris", rule=AUTUMN)
    for _ in range(2):
        told = itip.parse(message(lie, event(starts="DTSTART;TZID=Europe/Paris:20260703T100000"))).main
        assert told.starts == datetime(2026, 7, 3, 10, tzinfo=PARIS)


@pytest.mark.parametrize("rule", ["FREQ=SECONDLY", "FREQ=YEARLY;BYSECOND=1,2,3", "FREQ=YEARLY;COUNT=9"])
def test_a_zone_that_would_take_long_is_not_known(rule: str) -> None:
    block = OUTLOOK.format(name="Lent", rule=rule)
    found = itip.parse(message(block, event(starts="DTSTART;TZID=Lent:20260703T100000"))).main
    assert not found.zone_known and found.starts == datetime(2026, 7, 3, 10, tzinfo=PARIS)


def test_ends_come_from_an_end_a_duration_or_nothing() -> None:
    assert itip.parse(message(event("DURATION:PT1H30M"))).main.ends == datetime(
        2026, 12, 3, 10, 30, tzinfo=UTC
    )
    assert itip.parse(message(event("DTEND:20261203T110000Z"))).main.ends == datetime(
        2026, 12, 3, 11, tzinfo=UTC
    )
    assert itip.parse(message(event("DTEND:20261202T110000Z"))).main.ends == datetime(
        2026, 12, 3, 9, tzinfo=UTC
    )
    whole = itip.parse(message(event(starts="DTSTART;VALUE=DATE:20261203"))).main
    assert whole.all_day and whole.ends == date(2026, 12, 4)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "syntax"),
        ("BEGIN:VCALENDAR", "syntax"),
        ("\x00\x01 nothing", "syntax"),
        ("BEGIN:VCARD\nFN:x\nEND:VCARD\n", "syntax"),
        (message(), "syntax"),
        (message(event()) * 2, "syntax"),
        ("x" * (itip.MAX_TEXT_CHARS + 1), "size"),
        (message(event(uid="")), "uid"),
        (message(event(uid="UID:")), "uid"),
        (message(event(uid="UID:" + "x" * 600)), "uid"),
        (message(event(), event(uid="UID:other")), "several"),
        (message(event(), event()), "several"),
        (message(*[event(f"RECURRENCE-ID:2026120{n % 9 + 1}T090000Z") for n in range(60)]), "flood"),
        (message("BEGIN:X\nEND:X\n" * 300, event()), "flood"),
        (message(event(*[f"ATTENDEE:mailto:a{n}@b.test" for n in range(301)])), "flood"),
        (message(event(starts="")), "time"),
        (message(event(starts="DTSTART:20261399T990000Z")), "syntax"),
        (message(event(starts="DTSTART:tomorrow")), "time"),
        (message(event(starts="DTSTART:00010101T000000Z")), "time"),
        (message(event("DTEND;VALUE=DATE:20261204")), "time"),
        (message(event("RRULE:FREQ=SECONDLY")), "rule"),
        (message(event("RRULE:FREQ=DAILY;BYHOUR=1,2,3")), "rule"),
        (message(event("RRULE:FREQ=DAILY", "RRULE:FREQ=WEEKLY")), "rule"),
        (message(event("RDATE;VALUE=PERIOD:20261203T090000Z/PT1H")), "rule"),
        (message(event("RECURRENCE-ID;RANGE=THISANDFUTURE:20261203T090000Z")), "rule"),
    ],
)
def test_what_cannot_be_followed_is_refused_with_its_reason(text: str, why: str) -> None:
    with pytest.raises(Unreadable) as refused:
        itip.parse(text)
    assert refused.value.why == why


def test_addresses_that_are_none_are_nobody() -> None:
    lines = (
        "ATTENDEE;CN=Claire;PARTSTAT=ACCEPTED:mailto:claire@beaune.test",
        "ATTENDEE:mailto:a@b.test\\nBcc: c@d.test",
        "ATTENDEE:http://example.org",
        "ATTENDEE;PARTSTAT=SOLD:mailto:X@b.test",
        "ATTENDEE;PARTSTAT=DECLINED:mailto:claire@beaune.test",
    )
    found = itip.parse(message(event(*lines))).main
    assert found.attendees == (Attendee("claire@beaune.test", "Claire", "ACCEPTED"), Attendee("x@b.test"))
    assert found.organizer == Attendee("jean@nuits.test", "Jean")


def test_what_is_kept_is_written_anew_and_holds_no_alarm_no_file_and_no_other_field() -> None:
    alarm = "BEGIN:VALARM\nACTION:EMAIL\nTRIGGER:-PT5M\nATTENDEE:mailto:all@b.test\nEND:VALARM"
    lines = (
        r"SUMMARY:Budget\, «été»\; C:\\x\ny",
        "DESCRIPTION:" + "é" * 300,
        "ATTACH:http://evil.test/x",
        "X-EVIL:1",
        alarm,
    )
    found = itip.parse(message(event(*lines, "SEQUENCE:4", "RRULE:FREQ=WEEKLY;COUNT=3")))
    written = itip_text.calendar("", found.events)
    assert itip.parse(written).events == found.events
    assert all(len(line.encode()) <= 75 for line in written.split("\r\n"))
    assert not any(word in written for word in ("VALARM", "ATTACH", "X-EVIL", "METHOD", "evil"))


def test_an_answer_is_the_only_attendee_of_a_reply() -> None:
    found = itip.parse(message(event("ATTENDEE:mailto:a@b.test", "ATTENDEE:mailto:me@b.test", "SEQUENCE:7")))
    me = Attendee("me@b.test", answer="DECLINED")
    now = datetime(2026, 12, 1, tzinfo=UTC)
    told = itip.parse(itip_text.reply(found.events, me, now))
    assert told.method == "REPLY" and told.main.attendees == (me,)
    assert (told.main.sequence, told.main.uid, told.main.stamp) == (7, "a@b", now)
    kept = itip_text.answered(found.events, me)[0]
    assert [one.answer for one in kept.attendees] == ["NEEDS-ACTION", "DECLINED"]
