"""What an entry says of a zone moves no other entry, and keeps no reader busy."""

from __future__ import annotations

import copy
from datetime import datetime, timedelta

import pytest
from beffroi.drive.calendars import brought, itip, zone_names, zones
from radicale.item import read_components

zones.install()
ENTRY = (
    "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\n{zone}BEGIN:VEVENT\r\nUID:a\r\nDTSTAMP:20260101T000000Z\r\n"
    "DTSTART;TZID={name}:20260701T100000\r\nSUMMARY:x\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
)
ZONE = (
    "BEGIN:VTIMEZONE\r\nTZID:{name}\r\nBEGIN:STANDARD\r\nDTSTART:19700101T000000\r\nTZOFFSETFROM:{offset}\r\n"
    "TZOFFSETTO:{offset}\r\n{rule}END:STANDARD\r\nEND:VTIMEZONE\r\n"
)


def start(name: str, offset: str = "", rule: str = "") -> datetime:
    """Of an entry in a zone of this name; defined by it where there is an ``offset``."""
    zone = ZONE.format(name=name, offset=offset, rule=f"RRULE:{rule}\r\n" if rule else "") if offset else ""
    (whole,) = read_components(ENTRY.format(zone=zone, name=name))
    found = whole.vevent.dtstart.value
    assert isinstance(found, datetime)
    return found


def test_a_name_that_the_world_knows_means_what_the_world_means() -> None:
    assert start("Europe/Paris", "+0700").utcoffset() == timedelta(hours=2)
    assert start("Europe/Paris").utcoffset() == timedelta(hours=2)
    assert start("UTC").utcoffset() == timedelta(0)
    winter = start("europe/PARIS").replace(month=1)
    assert winter.utcoffset() == timedelta(hours=1), "a series of summer keeps its hour"


def test_any_other_name_means_what_its_own_entry_says() -> None:
    assert start("Mairie", "+0700").utcoffset() == timedelta(hours=7)
    assert start("Mairie", "+0100").utcoffset() == timedelta(hours=1)
    assert start("Mairie").tzinfo is None


@pytest.mark.parametrize(
    "name",
    [
        "SA Eastern Standard Time",
        "/America/Cayenne",
        "/freeassociation.sourceforge.net/America/Cayenne",
        "/softwarestudio.org/Olson_20011030_5/America/Cayenne",
    ],
)
def test_a_name_of_windows_or_with_whose_it_is_means_the_same_to_calendars_and_to_mails(name: str) -> None:
    """Programs leave out what such a name means; an hour of Guyane was told as one of Paris."""
    assert start(name).utcoffset() == start(name, "+0700").utcoffset() == timedelta(hours=-3)
    assert zone_names.named_zone(name) == zone_names.named_zone("America/Cayenne")
    (whole,) = read_components(ENTRY.format(zone="", name=name))
    assert f"DTSTART;TZID={name}:20260701T100000" in whole.serialize().replace("\r\n ", "")


def test_a_name_of_several_parts_that_end_in_no_zone_is_none() -> None:
    for name in ("Mairie/Europe/Paris", "/Mairie/Nulle/Part", "/", "/" * 5000 + "Europe/Paris"):
        assert zone_names.named_zone(name) is None


@pytest.mark.parametrize("defined", [r"(UTC-03:00) Cayenne\, Fortaleza", "(UTC-03:00) Cayenne, Fortaleza"])
def test_a_comma_in_a_name_is_escaped_where_the_zone_is_defined_alone(defined: str) -> None:
    """As Exchange writes it."""
    zone = ZONE.format(name=defined, offset="-0300", rule="")
    text = ENTRY.format(zone=zone, name='"(UTC-03:00) Cayenne, Fortaleza"')
    (whole,) = read_components(text)
    assert whole.vevent.dtstart.value.utcoffset() == timedelta(hours=-3)
    assert whole.serialize().count("BEGIN:VTIMEZONE") == 1
    assert itip.parse(text).main.starts == whole.vevent.dtstart.value
    ((_, piece),) = brought.pieces("agenda", text.encode())
    assert isinstance(piece, brought.Piece)
    assert "TZOFFSETTO:-0300" in piece.text


def test_the_zone_of_this_machine_is_nobodys() -> None:
    assert (
        start("localtime", "+0700").utcoffset()
        == start("LOCALTIME", "+0700").utcoffset()
        == timedelta(hours=7)
    )
    assert zone_names.named_zone("localtime") is zone_names.named_zone("Factory") is None
    assert zone_names.named_zone("europe/PARIS") == zone_names.LOCAL


def test_what_is_read_is_written_in_its_zone() -> None:
    for name, offset in (("Europe/Paris", ""), ("Mairie", "+0300")):
        zone = ZONE.format(name=name, offset=offset, rule="") if offset else ""
        (whole,) = read_components(ENTRY.format(zone=zone, name=name))
        read_components(ENTRY.format(zone=ZONE.format(name="Mairie", offset="-0500", rule=""), name="Mairie"))
        text = whole.serialize()
        assert f"DTSTART;TZID={name}:20260701T100000" in text
        assert text.count("BEGIN:VTIMEZONE") == 1 and (not offset or f"TZOFFSETTO:{offset}" in text)


def test_a_name_in_other_capitals_is_given_back_as_it_was_said() -> None:
    for zone in (ZONE.format(name="europe/PARIS", offset="+0100", rule=""), ""):
        (whole,) = read_components(ENTRY.format(zone=zone, name="europe/PARIS"))
        assert whole.vevent.dtstart.value.utcoffset() == timedelta(hours=2)
        text = copy.deepcopy(whole).serialize()
        assert text.count("BEGIN:VTIMEZONE") == text.count("TZID:europe/PARIS") == 1, "and grows by none"
        assert "DTSTART;TZID=europe/PARIS:20260701T100000" in text
    assert "TZID=Europe/Paris" in read_components(ENTRY.format(zone="", name="Europe/Paris"))[0].serialize()


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("Europe/Paris", ["20000326T020000 +0100 +0200", "20001029T030000 +0200 +0100"]),
        ("America/New_York", ["20070311T020000 -0500 -0400", "20071104T020000 -0400 -0500"]),
        ("Indian/Reunion", ["20000101T000000 +0400 +0400"]),
    ],
)
def test_a_zone_that_is_written_changes_at_its_hour(name: str, changes: list[str]) -> None:
    (whole,) = read_components(ENTRY.format(zone="", name=name))
    (zone,) = read_components(whole.serialize())[0].vtimezone_list
    found = {
        f"{one.dtstart.value:%Y%m%dT%H%M%S} {one.tzoffsetfrom.value} {one.tzoffsetto.value}"
        for one in zone.components()
    }
    assert found.issuperset(changes), found


def test_a_zone_says_in_a_language_what_its_times_are_called() -> None:
    zone = ZONE.format(name="Mairie", offset="+0700", rule="TZNAME;LANGUAGE=fr:Heure de la mairie\r\n")
    (whole,) = read_components(ENTRY.format(zone=zone, name="Mairie"))
    assert whole.vevent.dtstart.value.utcoffset() == timedelta(hours=7)
    assert "TZNAME;LANGUAGE=fr:Heure de la mairie\r\n" in whole.serialize()


@pytest.mark.parametrize(
    "rule",
    ["FREQ=YEARLY;INTERVAL=0", "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", "FREQ=DAILY", "FREQ=YEARLY;BYYEARDAY=1"],
)
def test_a_zone_whose_rules_are_none_of_a_zone_is_not_known(rule: str) -> None:
    assert start("Mairie", "+0700", rule).tzinfo is None


def test_rules_of_summer_time_are_kept() -> None:
    assert start("Mairie", "+0100", "FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU").utcoffset() == timedelta(hours=1)
