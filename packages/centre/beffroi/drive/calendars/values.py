"""Values of cards and entries that vobject would change by reading them: they stay as they came.

Why:    vobject ends a value at its first bare comma, and escapes what it writes. A photograph of vCard 4
        (``data:image/jpeg;base64,...``), a place (``geo:47.0,4.8``; of entries Apple's X-APPLE-STRUCTURED-LOCATION), an
        address with a comma and Outlook's X-ALT-DESC were lost as soon as a program stored the card or the entry, or
        somebody changed its telephone number on the page.
Process: calendars; ``install`` once, before anything is read.
Source:  RFC 6350, 4.2 (URIs are not escaped); RFC 5545, 3.3.11 and 3.3.13; vobject.vcard, vobject.icalendar.
"""

from __future__ import annotations

from typing import Any

from vobject.base import ContentLine, backslashEscape
from vobject.icalendar import TextBehavior, stringToTextValues
from vobject.vcard import VCardTextBehavior

_SHOWN = ("SUMMARY", "LOCATION", "DESCRIPTION")
"""Text of entries that pages show, and which is none but text: commas that a program forgot to escape are commas."""


def install() -> None:
    """Twice does nothing more than once."""
    if VCardTextBehavior.decode.__func__ is not _decode_of_cards:
        VCardTextBehavior.decode = classmethod(_decode_of_cards)
        TextBehavior.decode = classmethod(_decode_of_entries)
        ContentLine.copy = _copy


_all_of_cards = VCardTextBehavior.decode.__func__
_all_of_entries = TextBehavior.decode.__func__
_copy_without = ContentLine.copy


def _decode_of_cards(behavior: Any, line: Any) -> None:
    """A line that stays ``encoded`` is written as it is."""
    is_binary = "BASE64" in line.singletonparams or getattr(line, "encoding_param", None)
    if not line.encoded or is_binary or _comes_back(line.value):
        _all_of_cards(behavior, line)


def _decode_of_entries(behavior: Any, line: Any) -> None:
    if not line.encoded or getattr(line, "encoding_param", None) or _comes_back(line.value):
        _all_of_entries(behavior, line)
    elif line.name in _SHOWN:
        line.value = stringToTextValues(line.value, listSeparator="")[0]
        line.encoded = False


def _copy(line: Any, of: Any) -> None:
    """vobject forgets whether a line is ``encoded``; dates that are told one by one are copies of their series."""
    _copy_without(line, of)
    line.encoded = of.encoded


def _comes_back(value: str) -> bool:
    values = stringToTextValues(value)
    return len(values) == 1 and backslashEscape(values[0]) == value
