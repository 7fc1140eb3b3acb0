"""A card or an entry that is read and written again says what it said."""

from __future__ import annotations

from datetime import timedelta

import pytest
from beffroi.drive.calendars import values
from radicale.item import read_components

from tests.fixtures_calendars import event

values.install()


@pytest.mark.parametrize(
    "line",
    [
        "PHOTO:data:image/jpeg;base64,/9j/4AAQ",
        "PHOTO;ENCODING=b;TYPE=JPEG:/9j/4AAQSkZJRgAB",
        "PHOTO;ENCODING=BASE64;TYPE=JPEG:/9j/4AAQSkZJRgAB",
        "KEY;ENCODING=B:AAEC//79",
        "NOTE;ENCODING=8BIT:une, deux",
        "ADR;TYPE=home:;;1 rue X;Beaune;;21200;France;;;12;;;Rue X\\; bis;;;;;;a\\,b,c",
        "ORG:Dupont\\, Fils;Compta",
        "GEO:geo:47.02,4.84",
        "GEO:47.02;4.84",
        "URL:https://x.test/a,b;c",
        "NOTE:une\\nligne\\, suite\\; fin",
        "NOTE:une, deux",
        "TEL;TYPE=CELL:06 01 02 03 04",
        "MEMBER:urn:uuid:a",
    ],
)
def test_a_line_of_a_card_comes_back_as_it_was(line: str) -> None:
    text = "\r\n".join(("BEGIN:VCARD", "VERSION:4.0", "UID:a", "FN:Ali", "N:Ali;;;;", line, "END:VCARD", ""))
    for _ in range(2):
        text = read_components(text)[0].serialize()
        assert f"\r\n{line}\r\n" in text, text


def test_what_can_be_read_is_read() -> None:
    text = "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:a\\, b\r\nN:a\\, b;;;;\r\nNOTE:c\\nd\r\nEND:VCARD\r\n"
    (card,) = read_components(text)
    assert (card.fn.value, card.note.value, card.n.value.family) == ("a, b", "c\nd", "a, b")


@pytest.mark.parametrize(
    "line",
    [
        "X-APPLE-STRUCTURED-LOCATION;VALUE=URI:geo:47.02,4.84",
        "X-ALT-DESC;FMTTYPE=text/html:<p>un, deux; trois</p>",
        "CONFERENCE;VALUE=URI:https://x.test/a,b;c",
        "IMAGE;VALUE=URI:data:image/png;base64,QUJD",
        "ATTACH;ENCODING=BASE64;VALUE=BINARY:QUJD",
        "IMAGE;ENCODING=BASE64;FMTTYPE=image/png;VALUE=BINARY:AAEC//79",
        "DESCRIPTION:une\\nligne\\, suite\\; fin \\\\ oui",
        "CATEGORIES:Un,Deux",
        "GEO:47.02;4.84",
        "COMMENT:un, deux",
        "RDATE;VALUE=PERIOD:20261205T080000Z/PT3H,20261207T080000Z/20261208T090000Z",
        "RDATE;TZID=Europe/Paris;VALUE=PERIOD:20261205T080000/PT3H",
        "BEGIN:VALARM\r\nACTION:DISPLAY\r\nDESCRIPTION:x\r\nTRIGGER:-PT24H\r\nEND:VALARM",
    ],
)
def test_a_line_of_an_entry_comes_back_as_it_was(line: str) -> None:
    text = event("a", "Conseil", more=line)
    for _ in range(2):
        (entry,) = read_components(text)
        text = entry.serialize()
        assert f"\r\n{line}\r\n" in text, text
        assert f"\r\n{line}\r\n" in entry.duplicate(entry).serialize(), "as dates of a series are told"


def test_a_length_is_what_was_said_until_it_changes() -> None:
    (entry,) = read_components(event("a", "Garde").replace("PT1H", "PT24H"))
    assert entry.vevent.duration.value == timedelta(days=1)
    for whole in (entry, entry.duplicate(entry)):
        assert "\r\nDURATION:PT24H\r\n" in whole.serialize()
    entry.vevent.duration.value = timedelta(days=2)
    assert "\r\nDURATION:P2D\r\n" in entry.serialize()


@pytest.mark.parametrize(
    "name",
    [
        "N:Doe;Jean;;;;Dupont;II",
        "N:Doe;Jean;A,B;;",
        "N:;;;;",
        "N:Doe;Jean\\;;B;;;A\\\\;C\\,",
    ],
)
def test_a_name_keeps_all_of_its_parts(name: str) -> None:
    """Also those of RFC 9554, which vobject does not know."""
    (card,) = read_components(f"BEGIN:VCARD\r\nVERSION:4.0\r\nUID:a\r\nFN:Jean\r\n{name}\r\nEND:VCARD\r\n")
    assert f"\r\n{name}\r\n" in card.serialize()
    card.n.value.family = "Roe"
    assert f"\r\n{name.replace('Doe', 'Roe') if 'Doe' in name else 'N:Roe;;;;'}\r\n" in card.serialize()


def test_a_comma_that_a_program_forgot_to_escape_divides_no_organisation() -> None:
    text = "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:a\r\nFN:Ali\r\nORG:Dupont, Fils;Compta\r\nEND:VCARD\r\n"
    (card,) = read_components(text)
    assert card.org.value == ["Dupont, Fils", "Compta"]
    assert "\r\nORG:Dupont\\, Fils;Compta\r\n" in card.serialize()


def test_a_comma_that_a_program_forgot_to_escape_ends_no_title() -> None:
    (entry,) = read_components(event("a", "Vœux, puis buffet; salle\\, étage 1"))
    assert entry.vevent.summary.value == "Vœux, puis buffet; salle, étage 1"
    assert "SUMMARY:Vœux\\, puis buffet\\; salle\\, étage 1\r\n" in entry.serialize()
