"""Cards and entries as vobject reads them, in the place of Radicale's ``read_components``.

Why:     Radicale mends first what some programs write wrong, by expressions that begin anew at each place where they
         may: 2 MiB of "TZID=" would have held the process, and all collectivités with it, for most of an hour. These
         mend the same in one pass. A blank that is the fold of a line, before the colon, stays.
         vobject writes no parameter without a name: what was ``CELL`` or ``PREF``, as vCard 2.1 has types and programs
         go on to write them, was of no type.
         And vobject decodes by all that Python knows, for hours what is no text: names of domains (punycode).
Process: calendars; ``install`` once, before anything is read.
Source:  radicale.item (``read_components``); RFC 2426, 3.
"""

from __future__ import annotations

import codecs
import re
from typing import Any

import radicale.item
import vobject

from beffroi.drive.calendars import floating

_PHOTO = re.compile(r"^(PHOTO;([^:\r\n]*+):)data:[^;,\r\n]*+;base64,", re.MULTILINE | re.IGNORECASE)
"""InfCloud's, of data that says of itself that it is encoded."""
_CONTROL = re.compile(r"[\x00-\x08\x0B\x0C\x0E-\x1F]")
_EMPTY = re.compile(r"^[ \t]*+\r?\n", re.MULTILINE)
_ZONE = re.compile(r"(?:TZID|TZNAME):[^\r\n]++|TZID=[^:]++")
"""Outlook's, with a blank at its end."""

_OF_DOMAINS = frozenset({"punycode", "idna"})
_BARE_TYPES = frozenset(
    {"HOME", "WORK", "PREF", "VOICE", "FAX", "MSG", "CELL", "PAGER", "BBS", "MODEM", "CAR", "ISDN", "VIDEO", "PCS",
     "INTERNET", "X400", "DOM", "INTL", "POSTAL", "PARCEL", "JPEG", "GIF", "PNG"}
)  # fmt: skip


def install() -> None:
    """Twice does nothing more than once."""
    radicale.item.read_components = read  # type: ignore[assignment]
    vobject.base.parseLine = _parsed


def read(text: str) -> list[Any]:
    """The outermost ones. Errors: whatever vobject makes of it."""
    for mended, by in (
        (_PHOTO, lambda found: found[1] if "B" in _encodings(found[2]) else found[0]),
        (_CONTROL, ""),
        (_EMPTY, ""),
        (_ZONE, lambda found: found[0] if found[0].endswith("\n ") else found[0].removesuffix(" ")),
    ):
        text = mended.sub(by, text)
    found = list(vobject.readComponents(text, allowQP=True))
    for one in found:
        floating.place(one)
    return found


_parse = vobject.base.parseLine


def _parsed(line: str, *asked: Any) -> Any:
    """Errors: ParseError."""
    found = _parse(line, *asked)
    for one in found[1]:
        if len(one) == 1 and one[0].upper() in _BARE_TYPES:
            one.insert(0, "TYPE")
    for name, *values in found[1]:
        if name.upper() == "CHARSET" and not all(_is_charset(one) for one in values):
            raise vobject.base.ParseError("charset")
    return found


def _is_charset(name: str) -> bool:
    try:
        b"a".decode(found := codecs.lookup(name).name)
    except (LookupError, ValueError):
        return False
    return found not in _OF_DOMAINS


def _encodings(params: str) -> list[str]:
    return [one.removeprefix("ENCODING=") for one in params.upper().split(";") if one.startswith("ENCODING=")]
