"""Entries of a collection as one file: what they said is what is read back, and nothing that they say breaks it."""

from __future__ import annotations

from collections.abc import Callable

import vobject
from beffroi.drive.calendars import together

from tests.fixtures_calendars import card, event

ZONE = "\r\n".join(
    (
        *("BEGIN:VTIMEZONE", "TZID:Europe/Paris", "BEGIN:STANDARD", "DTSTART:19701025T030000"),
        *("TZOFFSETFROM:+0200", "TZOFFSETTO:+0100", "END:STANDARD", "END:VTIMEZONE"),
    )
)


def in_zone(uid: str, title: str) -> bytes:
    return event(uid, title).replace("BEGIN:VEVENT", f"{ZONE}\r\nBEGIN:VEVENT").encode()


def refusals() -> tuple[list[int], Callable[[], None]]:
    seen: list[int] = []
    return seen, lambda: seen.append(1)


def test_entries_are_together_and_each_zone_stands_once() -> None:
    seen, refused = refusals()
    entries = [
        in_zone("a", "Conseil"),
        in_zone("b", "Vœux; au maire, salle 2"),
        event("c", "Marché").encode(),
    ]
    text = b"".join(together.calendar("Mairie, place; du \\ marché\r\nX-EVIL:1", entries, refused)).decode()
    assert not seen and text.count("BEGIN:VTIMEZONE") == 1 and "\r\nX-EVIL" not in text
    read = vobject.readOne(text)
    assert sorted(one.uid.value for one in read.vevent_list) == ["a", "b", "c"]


def test_what_is_no_entry_is_left_out_and_told_and_no_line_ends_the_file_early() -> None:
    seen, refused = refusals()
    folded = event("a", "Long", more="DESCRIPTION:Ordre du jour\r\n END:VCALENDAR\r\n BEGIN:VEVENT")
    entries = [
        folded.encode(),
        b"\xff\xfe",
        b"",
        b"BEGIN:VCARD\r\nEND:VCARD\r\n",
        event("b", "Coupé").replace("END:VCALENDAR\r\n", "").encode(),
        event("c", "Deux").replace("END:VEVENT", "END:VEVENT\r\nEND:VEVENT\r\nEND:VCALENDAR").encode(),
    ]
    text = b"".join(together.calendar("Mairie", entries, refused)).decode()
    assert len(seen) == 5
    (one,) = vobject.readOne(text).vevent_list
    assert one.uid.value == "a" and "END:VCALENDAR" in one.description.value


def test_cards_stand_one_after_the_other() -> None:
    seen, refused = refusals()
    text = b"".join(
        together.cards([card("a", "Notaire").encode(), b"x", card("b", "Garage").encode()], refused)
    )
    assert [one.uid.value for one in vobject.readComponents(text.decode())] == ["a", "b"] and seen == [1]
