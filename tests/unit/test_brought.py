"""What a file of contacts or of entries holds: what is read of it, what is not and why, and what keeps nobody busy."""

from __future__ import annotations

import time

import pytest
from beffroi.drive.calendars import brought, effort, wire_bringing, zones

zones.install()
effort.install()


def read(kind: wire_bringing.Kind, data: bytes | str) -> list[tuple[int, brought.Piece | wire_bringing.Why]]:
    with effort.bounded(6):
        return list(brought.pieces(kind, data.encode() if isinstance(data, str) else data))


def card(*lines: str) -> str:
    return "\r\n".join(("BEGIN:VCARD", *lines, "END:VCARD", ""))


def one(kind: wire_bringing.Kind, data: bytes | str) -> brought.Piece:
    ((_line, found),) = read(kind, data)
    assert isinstance(found, brought.Piece), found
    return found


def why(kind: wire_bringing.Kind, data: bytes | str) -> list[tuple[int, str]]:
    return [(line, found if isinstance(found, str) else "") for line, found in read(kind, data)]


def calendar(*lines: str) -> str:
    return "\r\n".join(("BEGIN:VCALENDAR", "VERSION:2.0", "METHOD:PUBLISH", *lines, "END:VCALENDAR", ""))


def event(*lines: str) -> tuple[str, ...]:
    return ("BEGIN:VEVENT", *lines, "END:VEVENT")


def test_a_card_of_an_old_phone_is_made_new() -> None:
    found = one(
        "contacts",
        "BEGIN:VCARD\nVERSION:2.1\nN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:L=C3=A9ger;Zo=C3=A9;;;\n"
        "FN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:Zo=C3=A9=20L=C3=A9ger\nTEL;CELL;PREF:0601020304\n"
        "NOTE;ENCODING=QUOTED-PRINTABLE:Une=0D=0Aligne, tr=C3=A8s longue=\n et la suite; fin\n"
        "ADR;HOME:;;1, place\\; au fond;Nuits;;21700;France\nPHOTO;ENCODING=BASE64;JPEG:/9j/4AAQ\n SkZJ\nRgAB\n\n"
        "item1.EMAIL;INTERNET:zoe@x.test\nEND:VCARD\n",
    )
    assert found.said.title == "Zoé Léger"
    for line in (
        "VERSION:3.0",
        "N:Léger;Zoé;;;",
        "TEL;TYPE=CELL,PREF:0601020304",
        "NOTE:Une\\nligne\\, très longue et la suite\\; fin",
        "ADR;TYPE=HOME:;;1\\, place\\; au fond;Nuits;;21700;France",
        "PHOTO;TYPE=JPEG;ENCODING=b:/9j/4AAQSkZJRgAB",
        "ITEM1.EMAIL;TYPE=INTERNET:zoe@x.test",
    ):
        assert f"\r\n{line}\r\n" in found.text, (line, found.text)


@pytest.mark.parametrize(
    "line",
    [
        "FN;ENCODING=QUOTED-PRINTABLE;CHARSET=PUNYCODE:a-b",
        "FN;ENCODING=QUOTED-PRINTABLE;CHARSET=UTF-8:=FF=FE",
        "FN;ENCODING=UUENCODE:abc",
        "AGENT:",
        "no colon at all",
    ],
)
def test_what_is_not_read_of_an_old_card_refuses_it(line: str) -> None:
    assert why("contacts", card("VERSION:2.1", "N:Nom;Paul", line)) == [(1, "old")]


def test_a_card_of_version_4_is_kept_with_values_that_have_commas() -> None:
    lines = (
        "VERSION:4.0",
        "UID:urn:uuid:1",
        "FN:Ali",
        "PHOTO:data:image/png;base64,AAAA",
        "GEO:geo:47.0,4.8",
    )
    assert one("contacts", card(*lines)).text == card(*lines)


def test_a_card_that_says_no_name_is_called_by_what_it_has_or_not_taken() -> None:
    for lines, title in (
        (("N:Petit;Jeanne;;;",), "Jeanne Petit"),
        (("FN:", "N:;;;;", "ORG:Ets Roche, fils"), "Ets Roche, fils"),
        (("EMAIL:a@b.test",), "a@b.test"),
    ):
        assert one("contacts", card("VERSION:3.0", *lines)).said.title == title
    assert why("contacts", card("VERSION:3.0", "TEL:0102")) == [(1, "name")]


def test_one_broken_card_is_told_with_its_line_and_breaks_no_other() -> None:
    whole = card("VERSION:3.0", "FN:Bon")
    text = whole + "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Sans fin\r\n" + whole + card("VERSION:3.0", "FN") + whole
    assert why("contacts", text) == [(1, ""), (5, "syntax"), (8, ""), (12, "syntax"), (16, "")]
    assert why("contacts", whole + "BEGIN:VCARD\r\nFN:Coupé") == [(1, ""), (5, "syntax")]


def test_texts_are_read_as_they_are_encoded() -> None:
    text = card("VERSION:3.0", "FN:Hélène")
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "cp1252"):
        assert one("contacts", text.encode(encoding)).said.title == "Hélène", encoding


@pytest.mark.parametrize(
    ("kind", "data", "refusal"),
    [
        ("contacts", b"", "foreign"),
        ("contacts", b"Bonjour,\nvoici", "foreign"),
        ("contacts", b"\x89PNG\r\n\x1a\n\0\0", "encoding"),
        ("contacts", b"\xff\xfeB", "encoding"),
        ("contacts", b"\x81\x8d", "encoding"),
        ("contacts", calendar(*event("UID:a", "DTSTART:20261203T100000Z")).encode(), "foreign"),
        ("agenda", card("VERSION:3.0", "FN:x").encode(), "foreign"),
        ("agenda", calendar().encode(), "empty"),
        ("contacts", card("VERSION:3.0", "FN:x").encode() * (wire_bringing.MAX_BROUGHT + 1), "many"),
        ("agenda", calendar(*event("DTSTART:20261203") * 2001).encode(), "many"),
        ("contacts", b"BEGIN:VCARD\n" * 100_000, "many"),
    ],
)
def test_what_is_no_such_file_is_refused_whole(kind: wire_bringing.Kind, data: bytes, refusal: str) -> None:
    with pytest.raises(brought.Refused) as refused:
        read(kind, data)
    assert refused.value.why == refusal


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"\n" * 8_000_000, "foreign"),
        (b"BEGIN:VCARD\nVERSION:2.1\n" + b"A;" * 3_000_000 + b"\nEND:VCARD\n", "old"),
        (b"BEGIN:VCARD\nVERSION:3.0\nFN:x\nTEL" + b";" * 1_900_000 + b":1\nEND:VCARD\n", "syntax"),
        (b"BEGIN:VCARD\nVERSION:3.0\nFN:x\nNOTE:" + b"\\" * 1_900_001 + b"n\nEND:VCARD\n", ""),
        (b"BEGIN:VCARD\nVERSION:3.0\nFN:x\nNOTE:" + b"\n a" * 900_000 + b"\nEND:VCARD\n", "size"),
        (b"BEGIN:VCARD\nVERSION:2.1\nFN;QUOTED-PRINTABLE:x" + b"=\n" * 1_900_000 + b"\nEND:VCARD\n", ""),
        (b"BEGIN:VCARD\nVERSION:3.0\nFN:x\nPHOTO;ENCODING=b:" + b"QUFB" * 600_000 + b"\nEND:VCARD\n", "size"),
        (b"BEGIN:VCARD\nVERSION:3.0\nFN:x\n" + b"BEGIN:X\n" * 900_000 + b"END:VCARD\n", "size"),
        (b"BEGIN:VCARD\nVERSION:3.0\nFN:x\n" + b"BEGIN:X\n" * 9_000 + b"END:VCARD\n", "syntax"),
        (b"Nom,Courriel\n" + b'"' + b"a," * 3_000_000, "syntax"),
    ],
)
def test_a_hostile_file_is_told_soon(data: bytes, told: str) -> None:
    began = time.thread_time()
    try:
        found = [reason for _line, reason in why("contacts", data)]
    except brought.Refused as refused:
        found = [refused.why]
    assert told in found and time.thread_time() - began < 6


def test_a_file_that_takes_too_long_is_left_in_time() -> None:
    photo = b"BEGIN:VCARD\nVERSION:3.0\nFN:x\nPHOTO;ENCODING=b:" + b"QUFB" * 250_000 + b"\nEND:VCARD\n"
    began = time.thread_time()
    with pytest.raises(effort.Spent), effort.bounded(0.5):
        list(brought.pieces("contacts", photo * 8))
    assert time.thread_time() - began < 2


def test_a_series_keeps_its_changed_dates_and_its_zone() -> None:
    text = calendar(
        *("BEGIN:VTIMEZONE", "TZID:Chez moi", "BEGIN:STANDARD", "DTSTART:19700101T000000"),
        *("TZOFFSETFROM:+0300", "TZOFFSETTO:+0300", "END:STANDARD", "END:VTIMEZONE"),
        *event(
            "UID:a", "DTSTART;TZID=Chez moi:20261203T100000", "RRULE:FREQ=WEEKLY;COUNT=3", "SUMMARY:Série"
        ),
        *event("DTSTART;VALUE=DATE:20261225", "SUMMARY:Noël"),
        *event(
            "UID:a", "RECURRENCE-ID;TZID=Chez moi:20261210T100000", "DTSTART;TZID=Chez moi:20261210T110000"
        ),
        *("BEGIN:VTODO", "UID:t", "SUMMARY:Tâche", "END:VTODO"),
    )
    found = dict(read("agenda", text))
    assert sorted(found) == [12, 18, 27] and found[27] == "task"
    series, day = found[12], found[18]
    assert isinstance(series, brought.Piece) and isinstance(day, brought.Piece)
    assert series.said.title == "Série" and series.text.count("BEGIN:VEVENT") == 2
    assert "TZOFFSETTO:+0300" in series.text and "METHOD" not in series.text
    assert "BEGIN:VTIMEZONE" not in day.text and "UID:evt_" in day.text


@pytest.mark.parametrize("fold", ["", "\r\n "])
def test_a_zone_with_a_colon_in_its_name_comes_along(fold: str) -> None:
    """As Outlook names zones; lines with such a name are folded."""
    name = f"(UTC-05:00) Eastern {fold}Time (US & Canada)"
    text = calendar(
        *("BEGIN:VTIMEZONE", f"TZID:{name}", "BEGIN:STANDARD", "DTSTART:19700101T000000"),
        *("TZOFFSETFROM:-0500", "TZOFFSETTO:-0500", "END:STANDARD", "END:VTIMEZONE"),
        *event("UID:a", f'DTSTART;TZID="{name}":20261203T100000', "SUMMARY:Visio"),
    )
    ((_line, piece),) = read("agenda", text)
    assert isinstance(piece, brought.Piece)
    assert "TZOFFSETTO:-0500" in piece.text


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (("SUMMARY:Sans jour",), "time"),
        (("DTSTART:2026XX",), "syntax"),
        (("DTSTART:20261203T100000Z", "RRULE:FREQ=HOURLY"), "rule"),
        (("DTSTART:20261203T100000Z", "RECURRENCE-ID;RANGE=THISANDFUTURE:20261203T100000Z"), "rule"),
        (("DTSTART:20261203T100000Z", "RRULE:FREQ=DAILY;INTERVAL=0"), "rule"),
        (("DTSTART:20261203T100000Z", "RRULE:FREQ=DAILY;COUNT=99999"), "rule"),
        (("DTSTART:20261203T100000Z", "BEGIN:VALARM"), "syntax"),
        (("DTSTART:20261203T100000Z", "X" + ";A" * 30 + ":1"), "syntax"),
    ],
)
def test_an_entry_that_no_calendar_takes_is_told(lines: tuple[str, ...], reason: str) -> None:
    text = calendar(*event("UID:a", *lines), *event("UID:b", "DTSTART:20261203T100000Z"))
    assert dict(why("agenda", text)) == {4: reason, 4 + len(lines) + 3: ""}


def test_a_calendar_of_an_old_phone_is_told_as_such() -> None:
    text = calendar(*event("DTSTART:20261203T100000Z")).replace("VERSION:2.0", "VERSION:1.0")
    assert why("agenda", text) == [(4, "old")]


def test_members_of_a_group_are_named_anew_and_all_else_stays_as_it_came() -> None:
    found = one(
        "contacts",
        card(
            "VERSION:4.0",
            "FN:Conseil",
            "KIND:group",
            "UID:g",
            'item1.MEMBER;X-A="b:c":urn:uuid:\r\n OLD',
            "MEMBER:other",
            "MEMBER:new-1",
            "MEMBER:mailto:old@x.test",
            "NOTE:un mot\r\n MEMBER:old",
            "X-MEMBER:old",
        ),
    )
    told = brought.pointed(found, {"urn:uuid:old": "New-1", "new-1": "New-1", "absent": "x"})
    assert told.text == found.text.replace('"b:c":urn:uuid:\r\n OLD', '"b:c":urn:uuid:New-1').replace(
        "MEMBER:new-1", "MEMBER:urn:uuid:New-1"
    )
    assert told.etag != found.etag and (told.uid, told.name) == (found.uid, found.name)
    assert brought.pointed(found, {"absent": "x"}) is found
    huge = "x" * wire_bringing.MAX_FILE_BYTES
    assert brought.pointed(found, {"old": huge}) is found, "no larger than a card may be"
