"""Bytes of a mail as text: charsets, encoded words, transfer encodings. Pure.

Hostile: everything; also the name of the charset. Input is capped by who asks.
Fails:   open: what does not decode is shown as replacement signs.
Source:  RFC 2045, RFC 2047, RFC 3676 (format=flowed), https://encoding.spec.whatwg.org/#names-and-labels
"""

from __future__ import annotations

import base64
import binascii
import codecs
import quopri
import re
from collections.abc import Mapping
from datetime import datetime
from email.errors import HeaderParseError
from email.header import decode_header
from typing import Any

from imapclient.datetime_util import parse_to_datetime

from beffroi.lib.unseen import CONTROLS, DIRECTION, LINE_ENDS, TURNING

MAX_HEADER_CHARS = 1000
SIGNATURE = "-- "
"""The line above a signature (RFC 3676, 4.3)."""
_CHARSETS = re.compile(
    r"ascii|utf-(?:8|8-sig|16(?:-[lb]e)?|32(?:-[lb]e)?)|iso8859-\d+|cp\d{3,4}|koi8-[rtu]|mac-[a-z]+|gb2312|gbk|gb18030|hz"
    r"|big5(?:hkscs)?|shift_jis(?:_2004|x0213)?|euc_(?:jp|kr|jis_2004|jisx0213)|iso2022_(?:jp(?:_[1-3]|_ext|_2004)?|kr)"
    r"|johab|tis-620|ptcp154|kz1048|hp-roman8"
)
"""As Python calls them."""
_MEANT = {
    "ascii": "cp1252", "iso8859-1": "cp1252", "iso8859-9": "cp1254", "iso8859-11": "cp874", "tis-620": "cp874",
    "gb2312": "gb18030", "gbk": "gb18030", "big5": "big5hkscs", "shift_jis": "cp932", "euc_kr": "cp949",
}  # fmt: skip
"""What Windows writes under a narrower name."""
_WORDS = re.compile(r"=\?[^?\s]*\?[bq]\?.*?\?=(?:\s*=\?[^?\s]*\?[bq]\?.*?\?=)*", re.IGNORECASE | re.DOTALL)
_UNSEEN = re.compile(f"[{CONTROLS}{LINE_ENDS}{DIRECTION}{TURNING}]+")


def header_text(value: bytes | None, most: int = MAX_HEADER_CHARS) -> str:
    """An encoded header as one line of text (RFC 2047), without signs that reorder or hide it. Between encoded words
    stands what it says, in whatever bytes."""
    return clean(_WORDS.sub(_words, text_of((value or b"")[: most * 4], "us-ascii")), most)


def _words(found: re.Match[str]) -> str:
    try:
        pieces = decode_header(found[0])
    except (HeaderParseError, ValueError, LookupError, IndexError):
        return found[0]
    return "".join(p if isinstance(p, str) else text_of(p, charset or "utf-8") for p, charset in pieces)


def clean(text: str, most: int = MAX_HEADER_CHARS) -> str:
    return _UNSEEN.sub(" ", text)[:most].strip()


def moment(text: bytes, normalise: bool = True) -> datetime:
    """What imapclient makes of a Date:, for imapclient: it passes over one that cannot be read (ValueError), but not
    over a year or a zone too large to count, and one such mail shut its folder."""
    try:
        found: datetime = parse_to_datetime(text, normalise)
    except OverflowError as error:
        raise ValueError("no date") from error
    return found


def text_of(data: bytes, charset: str) -> str:
    """As browsers read it (WHATWG Encoding): who says Latin-1 means Windows, with its apostrophes and its euro, and so
    of others. Who says ASCII (Dovecot does of what says nothing) and writes more is read as UTF-8 where it can be."""
    name = codecs.lookup(charset).name if is_charset(charset) else "ascii"
    if name == "ascii":
        try:
            return codecs.getincrementaldecoder("utf-8")().decode(data)  # the last sign may be cut off
        except UnicodeDecodeError:
            pass
    return data.decode(_MEANT.get(name, name), "replace")


def unflowed(text: str, *, delsp: bool) -> str:
    """Paragraphs as whole lines: who writes format=flowed cuts them at 78 signs, and leaves a blank at the cut, which
    ``delsp`` takes away (RFC 3676, 4.2). Quotes keep their depth."""
    paragraphs: list[list[str]] = []
    depth_before, goes_on = 0, False
    for line in text.replace("\r\n", "\n").split("\n"):
        said = line.lstrip(">")
        depth = len(line) - len(said)
        said = said.removeprefix(" ")  # "stuffed" by the sender
        if not (goes_on and said and said != SIGNATURE and depth == depth_before):
            paragraphs.append([">" * depth + (" " if depth and said else "")])
        depth_before, goes_on = depth, said.endswith(" ") and said != SIGNATURE
        paragraphs[-1].append(said[:-1] if goes_on and delsp else said)
    return "\n".join("".join(one) for one in paragraphs)


def is_charset(name: str) -> bool:
    """Whether a mail may name this one. Python knows others, which are no charsets: ``punycode`` takes minutes for a
    text of half a megabyte."""
    try:
        return _CHARSETS.fullmatch(codecs.lookup(name).name) is not None
    except (LookupError, ValueError):
        return False


def fetched(row: Mapping[bytes, Any]) -> bytes:
    """The part of a mail that FETCH was asked for, as it came; b"" where there is none."""
    return next((v for k, v in row.items() if k.startswith(b"BODY[") and isinstance(v, bytes)), b"")


def decoded(data: bytes, encoding: str) -> bytes:
    if encoding == "base64":
        compact = re.sub(rb"[^A-Za-z0-9+/]", b"", data)
        try:
            return base64.b64decode(compact[: len(compact) // 4 * 4] + _padding(compact))
        except (binascii.Error, ValueError):
            return b""
    return quopri.decodestring(data) if encoding == "quoted-printable" else data


def _padding(compact: bytes) -> bytes:
    rest = compact[len(compact) // 4 * 4 :]
    return rest + b"=" * (4 - len(rest)) if len(rest) > 1 else b""
