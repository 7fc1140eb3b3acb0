"""Charsets that a mail names: those that mails use are read, and what Python knows besides is not."""

from __future__ import annotations

import pytest
from beffroi.mail import decoding

WORD = "Délibération"


@pytest.mark.parametrize(
    "charset", ["utf-8", "UTF8", "ISO-8859-1", "iso-8859-15", "windows-1252", "utf-16", "gb18030", "koi8-r"]
)
def test_what_mails_are_written_in_is_read(charset: str) -> None:
    word = WORD if charset not in ("koi8-r",) else "Совет"
    assert decoding.text_of(word.encode(charset), charset) == word


# punycode alone: half a megabyte takes minutes, and one mail would hold a process of the portal for them.
@pytest.mark.parametrize("charset", ["punycode", "idna", "utf-7", "unicode_escape", "raw_unicode_escape"])
def test_what_is_no_charset_of_a_mail_is_read_as_utf_8(charset: str) -> None:
    data = b"abc-" + rb"\u0041+AFA-" * 40_000
    assert decoding.text_of(data, charset) == data.decode()
    assert decoding.header_text(f"=?{charset}?q?abc-=2BAFA-?=".encode()) == "abc-+AFA-"


@pytest.mark.parametrize("charset", ["", "undefined", "zlib", "rot13", "x\0y", "é", "nobody"])
def test_a_charset_that_nobody_knows_is_read_as_utf_8(charset: str) -> None:
    assert decoding.text_of(WORD.encode(), charset) == WORD


@pytest.mark.parametrize(
    ("data", "charset", "text"),
    [
        ("l’école à 12 €".encode("cp1252"), "iso-8859-1", "l’école à 12 €"),
        ("l’école".encode(), "us-ascii", "l’école"),
        ("l’école".encode("cp1252"), "us-ascii", "l’école"),
        ("école €".encode()[:-1], "us-ascii", "école "),  # cut off by who fetched it
        ("中文 镕".encode("gb18030"), "gb2312", "中文 镕"),
        ("①".encode("cp932"), "Shift_JIS", "①"),
        ("日本".encode("iso-2022-jp"), "ISO-2022-JP", "日本"),
        ("똠".encode("cp949"), "ks_c_5601-1987", "똠"),
        ("Şehir’de".encode("cp1254"), "iso-8859-9", "Şehir’de"),
        ("ไทย…".encode("cp874"), "tis-620", "ไทย…"),
    ],
)
def test_a_charset_that_says_too_little_is_read_as_it_was_meant(data: bytes, charset: str, text: str) -> None:
    assert decoding.text_of(data, charset) == text


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("l’été =?utf-8?q?pass=C3=A9?= \\users".encode(), "l’été passé \\users"),
        ("été".encode("latin-1"), "été"),
        (b"=?iso-8859-1?q?l=92=E9cole?= =?utf-8?b?w6k=?=\r\n =?utf-8?b?w6k=?=", "l’écoleéé"),
        (b"=?utf-8?q?a?b?= =?x?z?c?=", "a?b =?x?z?c?="),
        ("a\u061cb\u2028c\u202ed".encode(), "a b c d"),
    ],
)
def test_a_header_is_read_between_its_encoded_words_too(raw: bytes, text: str) -> None:
    assert decoding.header_text(raw) == text


@pytest.mark.parametrize(
    "date",
    [
        b"Fri, 31 Dec 9999 23:59:59 -1200",
        b"Mon, 1 Jan 2024 00:00:00 +99999999999999999999",
        b"Mon, 1 Jan 99999999999999999999 00:00:00 +0000",
        b"yesterday",
    ],
)
def test_a_date_of_no_calendar_is_none(date: bytes) -> None:
    with pytest.raises(ValueError, match="da"):
        decoding.moment(date)


@pytest.mark.parametrize(
    ("sent", "delsp", "text"),
    [
        ("Le conseil se \r\nréunira jeudi.\r\nMerci.\r\n", False, "Le conseil se réunira jeudi.\nMerci.\n"),
        ("Délibé \r\nration\r\n", True, "Délibération\n"),
        ("> Est-elle \r\n> close ?\r\n>> Non \r\n> Si \r\nOui", False, "> Est-elle close ?\n>> Non \n> Si \nOui"),
        (" From là \r\n > ici\r\n  retrait\r\n", False, "From là > ici\n retrait\n"),
        ("Bien à vous \r\n-- \r\nLa mairie\r\n", False, "Bien à vous \n-- \nLa mairie\n"),
        ("> a \r\n>\r\n> b", False, "> a \n>\n> b"),
    ],
)  # fmt: skip
def test_lines_that_a_program_cut_are_whole_again(sent: str, delsp: bool, text: str) -> None:
    assert decoding.unflowed(sent, delsp=delsp) == text
