"""A card or an entry that is read and written again says what it said."""

from __future__ import annotations

import pytest
from beffroi.drive.calendars import values
from radicale.item import read_components

values.install()


@pytest.mark.parametrize(
    "line",
    [
        "PHOTO:data:image/jpeg;base64,/9j/4AAQ",
        "PHOTO;ENCODING=b;TYPE=JPEG:/9j/4AAQSkZJRgAB",
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
    ("line", "back"),
    [
        ("SUMMARY:Collecte, déchets; verre", "SUMMARY:Collecte\\, déchets\\; verre"),
        ("LOCATION:Mairie\\, salle 2", ""),
        ("CATEGORIES:a,b", ""),
        ("X-APPLE-STRUCTURED-LOCATION;VALUE=URI:geo:47.19,5.38", ""),
        ("X-ALT-DESC;FMTTYPE=text/html:<p>a, b; c</p>", ""),
        ("CONFERENCE;VALUE=URI:https://x.test/a,b;c", ""),
        ("X-NOTE:a\\nb\\, c", ""),
        ("ATTACH;ENCODING=BASE64;VALUE=BINARY:YQ==", ""),
    ],
)
def test_a_line_of_an_entry_loses_nothing(line: str, back: str) -> None:
    opening = ("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:x", "BEGIN:VEVENT", "UID:a")
    text = "\r\n".join((*opening, "DTSTART:20261203T090000Z", line, "END:VEVENT", "END:VCALENDAR", ""))
    for _ in range(2):
        text = read_components(text)[0].serialize()
        kept = text.replace("\r\n ", "")
        assert f"\r\n{back or line}\r\n" in kept, kept
