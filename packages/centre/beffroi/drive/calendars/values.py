"""Values of cards and entries that vobject would change by reading them: they stay as they came.

Why:    vobject ends a value at its first bare comma, and escapes what it writes. A photograph of vCard 4
        (``data:image/jpeg;base64,...``), a place (``geo:47.0,4.8``, also in X-APPLE-STRUCTURED-LOCATION), the HTML of
        Outlook's entries, an address with a comma were lost as soon as a program stored them, or somebody changed a
        telephone number on the page; of a title that a program wrote without escapes, what follows its first comma.
Process: calendars; ``install`` once, before anything is read.
Source:  RFC 6350, 4.2 and RFC 5545, 3.3.13 (URIs are not escaped); vobject.vcard, vobject.icalendar.
"""

from __future__ import annotations

from typing import Any

from vobject.base import backslashEscape
from vobject.icalendar import TextBehavior, stringToTextValues, textList
from vobject.vcard import VCardTextBehavior


def install() -> None:
    """Twice does nothing more than once."""
    VCardTextBehavior.decode = classmethod(_decode_of_card)
    TextBehavior.decode = classmethod(_decode_of_entry)


_decode_all = VCardTextBehavior.decode.__func__
_decode_first = TextBehavior.decode.__func__


def _decode_of_card(behavior: Any, line: Any) -> None:
    """A line that stays ``encoded`` is written as it is."""
    is_binary = "BASE64" in line.singletonparams or getattr(line, "encoding_param", None)
    if not line.encoded or is_binary or _comes_back(line.value):
        _decode_all(behavior, line)


def _decode_of_entry(behavior: Any, line: Any) -> None:
    """Texts that pages read are read whole; of what vobject does not know, one that would not come back stays."""
    if not line.encoded or getattr(line, "encoding_param", None):
        _decode_first(behavior, line)
    elif line.name in textList:
        (line.value,) = stringToTextValues(line.value, listSeparator=None)
        line.encoded = False
    elif _comes_back(line.value):
        _decode_first(behavior, line)


def _comes_back(value: str) -> bool:
    values = stringToTextValues(value)
    return len(values) == 1 and backslashEscape(values[0]) == value
