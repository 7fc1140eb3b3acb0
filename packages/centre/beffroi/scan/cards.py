"""Appointments and contacts (.ics, .vcf): where they lead, and the files that they carry. Pure.

Hostile: every line. Nothing is interpreted but folding, escapes and base64.
Source:  RFC 5545 3.1, 3.8.1.1 (ATTACH); RFC 6350.
"""

from __future__ import annotations

import quopri
import re
from collections.abc import Iterator

from beffroi.scan import letter, pages

_FOLD = re.compile(rb"\r?\n[ \t]")
_CARRIED = re.compile(
    rb"^(?:ATTACH|PHOTO|LOGO|SOUND)\b([^\r\n:]*ENCODING=\"?B(?:ASE64)?\b[^\r\n:]*):([\w+/= \t]+)", re.M | re.I
)
_NAME = re.compile(rb"FILENAME=(?:\"([^\"]*)\"|([^;:]*))", re.I)
_COMMA = re.compile(r"\\([,;\\])")


def unfolded(data: bytes) -> bytes:
    plain = _FOLD.sub(b"", data)
    if b"QUOTED-PRINTABLE" in plain.upper():  # as old telephones write cards; programs read it to this day
        plain += b"\n" + quopri.decodestring(data)
    return plain


def links(plain: bytes) -> Iterator[str]:
    """Each address, wherever it stands: calendars make all of them links. ``plain``: unfolded."""
    text = _COMMA.sub(r"\1", plain.decode("utf-8", "replace")).replace("\\n", "\n").replace("\\N", "\n")
    yield from letter.WEB.findall(text)
    yield from pages.links(text)


def embedded(plain: bytes) -> Iterator[tuple[str, bytes]]:
    """(name or "", content) of each file that stands in it. ``plain``: unfolded."""
    for told, packed in _CARRIED.findall(plain):
        name = _NAME.search(told)
        yield (
            (name[1] or name[2] or b"").decode("utf-8", "replace") if name else "",
            pages.decoded(packed.decode()),
        )
