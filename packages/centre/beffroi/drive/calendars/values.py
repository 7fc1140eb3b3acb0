"""Values of cards and entries that vobject would change by reading them: they stay as they came.

Why:    vobject ends a value at its first bare comma, and escapes what it writes. A photograph of vCard 4
        (``data:image/jpeg;base64,...``), a place (``geo:47.0,4.8``; of entries Apple's X-APPLE-STRUCTURED-LOCATION), an
        address with a comma and Outlook's X-ALT-DESC were lost as soon as a program stored the card or the entry, or
        somebody changed its telephone number on the page; so were the last parts of a name or an address of RFC 9554.
        Dates that are added with a length of their own (RDATE;VALUE=PERIOD) could not be written at all.
        What is encoded was refused, but for a photograph with ENCODING=b (RFC 7986's IMAGE; ENCODING=BASE64 in a card).
Process: calendars; ``install`` once, before anything is read.
Source:  RFC 6350, 4.2 (URIs are not escaped); RFC 5545, 3.3.11 and 3.3.13; vobject.vcard, vobject.icalendar.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from vobject.base import ContentLine, backslashEscape
from vobject.icalendar import (
    Duration,
    MultiDateBehavior,
    TextBehavior,
    stringToDurations,
    stringToTextValues,
)
from vobject.vcard import (
    ADDRESS_ORDER,
    NAME_ORDER,
    AddressBehavior,
    NameBehavior,
    OrgBehavior,
    VCardTextBehavior,
    splitFields,
)

_PART = re.compile(r"((?:\\.|[^;])*?);", re.DOTALL)
"""Before a semicolon that is not escaped."""
_SHOWN = ("SUMMARY", "LOCATION", "DESCRIPTION")
"""Text of entries that pages show, and which is none but text: commas that a program forgot to escape are commas."""


def install() -> None:
    """Twice does nothing more than once."""
    if VCardTextBehavior.decode.__func__ is not _decode_of_cards:
        VCardTextBehavior.decode = classmethod(_decode_of_cards)
        TextBehavior.decode = classmethod(_decode_of_entries)
        ContentLine.copy = _copy
        Duration.transformToNative = staticmethod(_length_of)
        Duration.transformFromNative = staticmethod(_said_length)
        MultiDateBehavior.transformToNative = staticmethod(_dates_of)
        MultiDateBehavior.transformFromNative = staticmethod(_said_dates)
        for parted, order in ((NameBehavior, NAME_ORDER), (AddressBehavior, ADDRESS_ORDER)):
            _keep_parts_after(parted, len(order))
        OrgBehavior.transformToNative = staticmethod(_parts_of_organisation)


_length, _from_length = Duration.transformToNative, Duration.transformFromNative


def _length_of(line: Any) -> Any:
    said, found = line.value, _length(line)
    found.said = said
    return found


def _said_length(line: Any) -> Any:
    """As it was said, where nobody changed it: 24 hours are no day on the nights on which clocks change."""
    found = _from_length(line)
    said = getattr(found, "said", "")
    if said and stringToDurations(said) == stringToDurations(found.value):
        found.value = said
    return found


_dates, _from_dates = MultiDateBehavior.transformToNative, MultiDateBehavior.transformFromNative


def _dates_of(line: Any) -> Any:
    """Of periods the moments at which they begin, as of any added dates; ``lengths`` of them stand beside these."""
    said, found = line.value, _dates(line)
    periods = [one for one in found.value if isinstance(one, tuple)]
    if periods:
        ends = [(start, end if isinstance(end, timedelta) else end - start) for start, end in periods]
        found.said, found.lengths = said, {start: length for start, length in ends if length > timedelta()}
        found.value = [start for start, _ in periods]
    return found


def _said_dates(line: Any) -> Any:
    """Nobody changes periods: who changes a series with some writes all of them anew."""
    if not getattr(line, "lengths", {}):
        return _from_dates(line)
    line.value, line.isNative = line.said, False
    return line


_all_of_cards = VCardTextBehavior.decode.__func__
_all_of_entries = TextBehavior.decode.__func__
_copy_without = ContentLine.copy


def _decode_of_cards(behavior: Any, line: Any) -> None:
    """A line that stays ``encoded`` is written as it is."""
    is_plain = not getattr(line, "encoding_param", None) and _comes_back(line.value)
    if not line.encoded or "BASE64" in line.singletonparams or is_plain:
        _all_of_cards(behavior, line)


def _decode_of_entries(behavior: Any, line: Any) -> None:
    encoding = str(getattr(line, "encoding_param", "")).upper()
    if not line.encoded or (encoding != "BASE64" and _comes_back(line.value)):
        _all_of_entries(behavior, line)
    elif line.name in _SHOWN and encoding != "BASE64":
        line.value = stringToTextValues(line.value, listSeparator="")[0]
        line.encoded = False


def _copy(line: Any, of: Any) -> None:
    """vobject forgets whether a line is ``encoded``, what it ``said`` and its ``lengths``; dates that are told one by
    one are copies of their series."""
    _copy_without(line, of)
    line.encoded = of.encoded
    line.said, line.lengths = getattr(of, "said", ""), getattr(of, "lengths", {})


def _keep_parts_after(behavior: Any, count: int) -> None:
    """``behavior``: of a value in parts, of which vobject knows the first ``count``."""
    to_native, from_native = behavior.transformToNative, behavior.transformFromNative

    def transform_to_native(line: Any) -> Any:
        if line.isNative:
            return line
        parts = _PART.findall(line.value + ";")
        found = to_native(line)
        found.value.more = parts[count:]
        return found

    def transform_from_native(line: Any) -> Any:
        more = getattr(line.value, "more", ())
        found = from_native(line)
        found.value = ";".join((found.value, *more))
        return found

    behavior.transformToNative = staticmethod(transform_to_native)
    behavior.transformFromNative = staticmethod(transform_from_native)


def _parts_of_organisation(line: Any) -> Any:
    """A comma that a program did not escape is one: there are no lists in it, and vobject refused the card."""
    if not line.isNative:
        line.isNative = True
        parts = splitFields(line.value)
        line.value = [one if isinstance(one, str) else ",".join(one) for one in parts]
    return line


def _comes_back(value: str) -> bool:
    values = stringToTextValues(value)
    return len(values) == 1 and backslashEscape(values[0]) == value
