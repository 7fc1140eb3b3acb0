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
