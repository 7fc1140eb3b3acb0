"""What Radicale mends of cards and entries before they are read is mended in one pass, whatever they hold."""

from __future__ import annotations

import time

import pytest
import vobject
from beffroi.drive.calendars import components


def lines_of(kind: str, *lines: str) -> str:
    return "\r\n".join((f"BEGIN:{kind}", "VERSION:3.0", *lines, f"END:{kind}", ""))


def seen(monkeypatch: pytest.MonkeyPatch, text: str) -> str:
    """What vobject is given of it."""
    given: list[str] = []
    monkeypatch.setattr(vobject, "readComponents", lambda text, **_options: given.append(text) or ())
    components.read(text)
    return given[0]


@pytest.mark.parametrize(
    ("came", "read"),
    [
        (
            "DTSTART;TZID=Romance Standard Time :20261203T090000",
            "DTSTART;TZID=Romance Standard Time:20261203T090000",
        ),
        ("TZID:Romance Standard Time ", "TZID:Romance Standard Time"),
        ("TZNAME:CET ", "TZNAME:CET"),
        ("SUMMARY:TZID=a et b : c", "SUMMARY:TZID=a et b: c"),
        ("PHOTO;TYPE=PNG;ENCODING=b:data:image/png;base64,QUJD", "PHOTO;TYPE=PNG;ENCODING=b:QUJD"),
        ("photo;encoding=B;x=1:data:;base64,QUJD", "photo;encoding=B;x=1:QUJD"),
        ("PHOTO:data:image/png;base64,QUJD", "PHOTO:data:image/png;base64,QUJD"),
        (
            "PHOTO;ENCODING=base64:data:image/png;base64,QUJD",
            "PHOTO;ENCODING=base64:data:image/png;base64,QUJD",
        ),
        ("NOTE:a\x00b\x0bc\td", "NOTE:abc\td"),
        ("NOTE:a\r\n \t\r\n\r\nX:b", "NOTE:a\r\nX:b"),
    ],
)
def test_what_programs_write_wrong_is_mended(monkeypatch: pytest.MonkeyPatch, came: str, read: str) -> None:
    assert seen(monkeypatch, lines_of("X", came)) == lines_of("X", read)


def test_a_zone_that_is_folded_before_its_colon_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    folded = lines_of("X", "DTSTART;TZID=Romance Standard Time\r\n :20261203T090000")
    assert seen(monkeypatch, folded) == folded


@pytest.mark.parametrize(
    "line", ["X-A:" + "TZID=" * 50_000, "X-A:" + "TZID:" * 50_000, "PHOTO" + ";ENCODING=b" * 50_000 + ":x"]
)
def test_no_line_keeps_who_mends_it_busy(monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    since_s = time.thread_time()
    assert seen(monkeypatch, lines_of("X", line)) == lines_of("X", line)
    assert time.thread_time() - since_s < 1


@pytest.mark.parametrize(
    ("charset", "is_known"),
    [
        ("UTF-8", True),
        ("iso-8859-1", True),
        ("windows-1250", True),
        ("punycode", False),
        ("IDNA", False),
        ("rot13", False),
        ("x", False),
    ],
)
def test_a_line_is_decoded_by_what_texts_are_written_in(charset: str, *, is_known: bool) -> None:
    """Names of domains in their own alphabet would be decoded for hours."""
    components.install()
    card = lines_of("VCARD", "FN:Nom", "N:Nom", f"NOTE;ENCODING=QUOTED-PRINTABLE;CHARSET={charset}:a=61-b")
    if is_known:
        assert ":aa-b" in components.read(card)[0].serialize()
    else:
        with pytest.raises(vobject.base.ParseError):
            components.read(card)


def test_a_type_without_its_name_stays_one() -> None:
    """As vCard 2.1 has it, and programs write it in later ones."""
    text = (
        "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Paul\r\nN:P;;;;\r\nTEL;CELL;pref:06\r\nEMAIL;TYPE=WORK;PREF;INTERNET:p@x.test\r\n"
        "ADR;X-HOME;HOME:;;1;;;;\r\nPHOTO;JPEG;BASE64:/9j/4AAQ\r\nEND:VCARD\r\n"
    )
    written = components.read(text)[0].serialize().splitlines()
    assert {"TEL;TYPE=CELL,pref:06", "EMAIL;TYPE=WORK,PREF,INTERNET:p@x.test", "ADR;TYPE=HOME:;;1;;;;"} <= {
        *written
    }
