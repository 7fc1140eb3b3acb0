"""Values of vCards that vobject would change by reading them: they stay as they came.

Why:    vobject ends a value at its first bare comma, and escapes what it writes. A photograph of vCard 4
        (``data:image/jpeg;base64,...``), a place (``geo:47.0,4.8``) and an address with a comma were lost as soon as a
        program stored the card, or somebody changed its telephone number on the page.
Process: calendars; ``install`` once, before anything is read.
Source:  RFC 6350, 4.2 (URIs are not escaped); vobject.vcard.
"""

from __future__ import annotations

from typing import Any

from vobject.base import backslashEscape
from vobject.icalendar import stringToTextValues
from vobject.vcard import VCardTextBehavior


def install() -> None:
    """Twice does nothing more than once."""
    if VCardTextBehavior.decode.__func__ is not _decode:
        VCardTextBehavior.decode = classmethod(_decode)


_decode_all = VCardTextBehavior.decode.__func__


def _decode(behavior: Any, line: Any) -> None:
    """A line that stays ``encoded`` is written as it is."""
    is_binary = "BASE64" in line.singletonparams or getattr(line, "encoding_param", None)
    if not line.encoded or is_binary or _comes_back(line.value):
        _decode_all(behavior, line)


def _comes_back(value: str) -> bool:
    values = stringToTextValues(value)
    return len(values) == 1 and backslashEscape(values[0]) == value
