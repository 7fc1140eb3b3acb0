"""Invitations read and written: what they say, and what becomes of hostile ones."""

from __future__ import annotations

import random
import re
import time
from dataclasses import replace
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
import vobject
from beffroi.drive.calendars import itip, itip_text, lines, zone_names
from beffroi.drive.calendars.itip import Attendee, Unreadable
from hypothesis import example, given
from hypothesis import strategies as st

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
        # Exchange, with no definition; Google and others leave the quotes out.
        ('DTSTART;TZID="tzone://Microsoft/Utc":20260703T090000', datetime(2026, 7, 3, 9, tzinfo=UTC)),
        ("DTSTART;TZID=tzone://Microsoft/Utc:20260703T090000", datetime(2026, 7, 3, 9, tzinfo=UTC)),
    ],
)
def test_a_time_is_read_in_its_zone(line: str, starts: date) -> None:
    found = itip.parse(message(event(starts=line))).main
    assert found.starts == starts and found.zone_known


def test_a_zone_with_a_colon_needs_no_quotes_and_a_list_of_dates_may_end_in_a_comma() -> None:
    zone = OUTLOOK.format(name="GMT+01:00", rule=AUTUMN)
    dates = "EXDATE;TZID=GMT+01:00:20260710T100000,20260717T100000,"
    starts = "DTSTART;TZID=GMT+01:00:20260703T100000"
    found = itip.parse(message(zone, event("RRULE:FREQ=WEEKLY;COUNT=5", dates, starts=starts))).main
    assert found.starts == datetime(2026, 7, 3, 10, tzinfo=PARIS) and found.zone_known
    assert found.left_out == tuple(datetime(2026, 7, day, 10, tzinfo=PARIS) for day in (10, 17))


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("SA Western Standard Time", "America/Martinique"),
        ("SA Eastern Standard Time", "America/Cayenne"),
        ("Saint Pierre Standard Time", "America/Miquelon"),
        ("Mauritius Standard Time", "Indian/Reunion"),
        ("E. Africa Standard Time", "Indian/Mayotte"),
        ("Central Pacific Standard Time", "Pacific/Noumea"),
        ("Hawaiian Standard Time", "Pacific/Tahiti"),
        ("UTC-09", "Pacific/Gambier"),
        ("Marquesas Standard Time", "Pacific/Marquesas"),
        ("UTC+12", "Pacific/Wallis"),
    ],
)
def test_hours_of_france_beyond_the_seas_are_known_by_the_names_of_windows(name: str, place: str) -> None:
    for day in ("20260115", "20260715"):
        found = itip.parse(message(event(starts=f"DTSTART;TZID={name}:{day}T100000"))).main
        told = datetime.strptime(f"{day}10", "%Y%m%d%H").replace(tzinfo=ZoneInfo(place))
        assert found.zone_known and found.starts == told.astimezone(UTC)


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


@pytest.mark.parametrize(
    ("offsets", "months", "stored"),
    [
        (
            ("+0300", "+0200"),
            ("-1SU;BYMONTH=10", "-1SU;BYMONTH=3"),
            "DTSTART;TZID=Europe/Athens:20260703T100000",
        ),
        (
            ("-0500", "-0600"),
            ("1SU;BYMONTH=11", "2SU;BYMONTH=3"),
            "DTSTART;TZID=America/Chicago:20260703T100000",
        ),
        (("+0400", "+0400"), ("-1SU;BYMONTH=10", "-1SU;BYMONTH=3"), "DTSTART:20260703T060000Z"),
        (("+0300", "+0200"), ("1FR;BYMONTH=9", "1FR;BYMONTH=5"), ""),
    ],
)
def test_what_repeats_keeps_the_summer_of_its_zone_whatever_that_is_called(
    offsets: tuple[str, str], months: tuple[str, str], stored: str
) -> None:
    (summer, winter), zone = offsets, ["BEGIN:VTIMEZONE", "TZID:Customized Time Zone"]
    for kind, before, after, rule in (
        ("STANDARD", summer, winter, months[0]),
        ("DAYLIGHT", winter, summer, months[1]),
    ):
        zone += [f"BEGIN:{kind}", "DTSTART:16010101T030000", f"TZOFFSETFROM:{before}", f"TZOFFSETTO:{after}"]
        zone += [f"RRULE:FREQ=YEARLY;BYDAY={rule}", f"END:{kind}"]
    block = "\n".join([*zone, "END:VTIMEZONE", ""])
    starts = "DTSTART;TZID=Customized Time Zone:20260703T100000"
    found = itip.parse(message(block, event("RRULE:FREQ=WEEKLY", starts=starts))).main
    assert found.zone_known is bool(stored)
    assert stored in itip_text.calendar("", [found])


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=SECONDLY",
        "FREQ=YEARLY;BYSECOND=1,2,3",
        "FREQ=YEARLY;COUNT=9",
        "FREQ=YEARLY;BYMONTH=13",  # no year has it: each is looked through
        "FREQ=YEARLY;BYDAY=SU",
    ],
)
def test_a_zone_that_would_take_long_is_not_known(rule: str) -> None:
    block = OUTLOOK.format(name="Lent", rule=rule)
    found = itip.parse(message(block, event(starts="DTSTART;TZID=Lent:20260703T100000"))).main
    assert not found.zone_known and found.starts == datetime(2026, 7, 3, 10, tzinfo=PARIS)


def test_zones_that_would_take_long_together_are_not_all_read() -> None:
    block = OUTLOOK.format(name="Z{n}", rule=AUTUMN)
    many = "".join(block.replace("{n}", str(number)) for number in range(9))
    zones = zone_names.Zones(lines.read(f"BEGIN:X\n{many}END:X\n")[0].parts["VTIMEZONE"])
    known = [zones.get(f"Z{number}") is not None for number in range(9)]
    assert known == [True] * zone_names.MAX_ZONES_READ + [False] * (9 - zone_names.MAX_ZONES_READ)


@pytest.mark.parametrize("was", ["DTSTART:1601", "END:VTIMEZONE"])
def test_a_zone_with_changes_of_antiquity_or_with_many_is_not_known(was: str) -> None:
    change = "BEGIN:STANDARD\nDTSTART:20000101T000000\nTZOFFSETFROM:+0200\nTZOFFSETTO:+0100\nEND:STANDARD\n"
    more = "DTSTART:0001" if was.startswith("DTSTART") else change * 9 + was
    block = OUTLOOK.format(name="Vieux", rule=AUTUMN).replace(was, more)
    assert not itip.parse(message(block, event(starts="DTSTART;TZID=Vieux:20260703T100000"))).main.zone_known


def test_a_zone_that_only_knows_summers_to_come_is_read() -> None:
    block = OUTLOOK.format(name="Demain", rule=AUTUMN).replace("STANDARD", "DAYLIGHT").replace("1601", "2090")
    found = itip.parse(message(block, event(starts="DTSTART;TZID=Demain:20260703T100000"))).main
    assert found.zone_known and found.starts == datetime(2026, 7, 3, 9, tzinfo=UTC)


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
        (message(event(starts="DTSTART:20261399T990000Z")), "time"),
        (message(event(starts="DTSTART:tomorrow")), "time"),
        (message(event(starts="DTSTART:00010101T000000Z")), "time"),
        (message(event("DTEND;VALUE=DATE:20261204")), "time"),
        (message(event("RRULE:FREQ=SECONDLY")), "rule"),
        (message(event("RRULE:FREQ=DAILY;INTERVAL=0")), "rule"),
        (message(event("RRULE:FREQ=DAILY;COUNT=99999")), "rule"),
        (message(event("RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30")), "rule"),
        (message(event("RRULE:FREQ=DAILY;BYDAY=MO;INTERVAL=7;COUNT=2")), "rule"),
        (message(event("RRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30;COUNT=1")), "rule"),
        (message(event("RRULE:FREQ=DAILY;FREQ=WEEKLY")), "rule"),
        (message(event("RRULE:FREQ=DAILY", "RECURRENCE-ID:20261203T090000Z")), "rule"),
        (message(event("EXDATE:" + ",".join(["20261203T090000Z"] * 1001))), "flood"),
        (message("BEGIN:A\nBEGIN:B\nBEGIN:C\nBEGIN:D\nEND:D\nEND:C\nEND:B\nEND:A\n", event()), "syntax"),
        (message(event("X" + ";a" * 5000)), "syntax"),
        (message(event('X;a="' + '"' * 5000)), "syntax"),
        (message(event("a line without a colon")), "syntax"),
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


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=DAILY;COUNT=5",
        "FREQ=DAILY;BYDAY=MO,TU,WE,TH,FR",
        "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO;WKST=SU;UNTIL=20271231T220000Z",
        "FREQ=MONTHLY;BYDAY=2TU",
        "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
        "FREQ=MONTHLY;BYMONTHDAY=31",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29",
        "FREQ=YEARLY;COUNT=20",
    ],
)
def test_rules_of_real_calendars_are_followed(rule: str) -> None:
    assert itip.parse(message(event(f"RRULE:{rule}"))).main.rule == rule


def test_a_line_is_read_with_folds_quotes_and_groups() -> None:
    raw = 'item1.X-A;CN="a;b:c,d";ROLE=one,two:v1\r\n\t v2\r\nX-A:plain\r\n'
    (found,) = lines.read(f"BEGIN:x\r\n{raw}END:X\r\n")
    first, second = found.lines["X-A"]
    assert first == lines.Line("X-A", {"CN": "a;b:c,d", "ROLE": "one"}, "v1 v2")
    assert second.value == "plain" and found.name == "X"


@pytest.mark.parametrize(
    ("text", "busy"),
    [
        ("TEL;HOME;VOICE:1\n", False),
        ("N:a;b;c;d;e;f;g;h;i;j;k;l\n", False),
        ('X;CN=";;;;;;;;;;;;;;;;":v\n', True),
        ("X" + ";a" * 9 + "\n", True),
        ("X" + ";a\n " * 9 + "\n", True),
        ("X" + ";A=b" * 30 + ":v\n", False),
        ("NOTE;ENCODING=QUOTED-PRINTABLE:" + "a=\r\n" * 1000 + "b\n", False),
        ("NOTE;ENCODING=QUOTED-PRINTABLE:" + "a=\r\n" * 1001 + "b\n", True),
        ("NOTE:quoted-printable" + "\n =\x01" * 1002 + "\n", True),
        ("TEL:1\r\n" * 20_000, False),
        ("TEL:1\r\n" * 20_001, True),
        ("PHOTO:" + "QUJD\r\n " * 40_000 + "\r\n", False),
        ("EXDATE:20261203" + ",20261203" * 9_999 + "\r\nCATEGORIES:" + "a," * 20_000, False),
        ("EXDATE:20261203" + ",20261203" * 10_000, True),
        ("exdate;VALUE=DATE:20261203\r\na.RDATE:20261203,20261203\r\n" * 3_334, True),
    ],
)
def test_what_keeps_vobject_busy_is_seen_before_it_reads(text: str, *, busy: bool) -> None:
    assert lines.keeps_busy(text) is busy


@pytest.mark.parametrize(
    "line",
    [
        "X" + ";A=1" * 40,
        "X" + ";A=1,2" * 40,
        "X;A=" + "1," * 5000,
        "X;A=" + '"1",' * 5000 + '"',
        "X;" + "A=" * 5000,
        "X" + ";A=1" * 40 + ";:v",
        "X" + ";A=" * 40,
        "X;" + "A=1;" * 9 + "X=" + '":"' * 100_000 + ":v",
    ],
)
def test_a_line_that_is_none_is_told_at_once(line: str) -> None:
    since_s = time.thread_time()
    assert not lines.keeps_busy(line)
    with pytest.raises(lines.Broken):
        lines.read(f"BEGIN:VCARD\r\n{line}\r\nBROKEN\r\nEND:VCARD\r\n")
    lines.AS_VOBJECT.match(line)
    assert time.thread_time() - since_s < 1


_PATTERNS = vobject.base.patterns
THEIRS = re.compile(_PATTERNS["line"], re.DOTALL | re.VERBOSE)


@given(st.text(alphabet='aA;;::==,,"". \n', max_size=12).map(lambda more: f"X{more}"))
@example("X;:v")
@example("X;;A=1:v")
@example('X;A=x="y":v')
@example('g.X;A="a;:,",b,"c"=d;B:v:w')
@example("X;A,b:v")
def test_lines_are_told_apart_as_vobject_does(line: str) -> None:
    ours, theirs = lines.AS_VOBJECT.match(line), THEIRS.match(line)
    assert (ours and ours.groupdict()) == (theirs and theirs.groupdict())


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


def test_a_name_is_told_without_the_carets_of_its_quotes() -> None:
    """RFC 6868, as Apple's and Google's calendars write it."""
    guest = "ATTENDEE;CN=\"Jean ^'Jojo^' Petit^nmaire ^^\":mailto:jean@nuits.test"
    (found,) = itip.parse(message(event(guest))).main.attendees
    assert found.name == 'Jean "Jojo" Petit maire ^'


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


def test_broken_texts_are_refused_and_what_is_read_is_written_the_same() -> None:
    """Bytes that are turned, doubled, cut or swapped: no other error, and no text that reads otherwise afterwards."""
    chance = random.Random(6047)
    lines_ = (
        "RRULE:FREQ=WEEKLY;COUNT=3",
        "EXDATE:20261210T090000Z",
        r"SUMMARY:A\, b",
        "ATTENDEE;CN=Zoé:mailto:z@b.test",
    )
    whole = message(
        OUTLOOK.format(name="X", rule=AUTUMN), event(*lines_, starts="DTSTART;TZID=X:20261203T100000")
    )
    readable = 0
    for _ in range(500):
        text = list(whole)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(text))
            other = chance.randrange(len(text))
            match chance.randrange(4):
                case 0:
                    text[at] = chance.choice(':;,="\\\n\r\t \x00\u2028é9AZ')
                case 1:
                    text[at:at] = text[other : other + 30]
                case 2:
                    del text[at : at + chance.randint(1, 30)]
                case _:
                    text[at], text[other] = text[other], text[at]
        try:
            found = itip.parse("".join(text))
        except Unreadable:
            continue
        readable += 1
        assert itip.parse(itip_text.calendar("REQUEST", found.events)).events == tuple(
            replace(one, zone_known=True) for one in found.events
        )
    assert 50 < readable < 500
