"""Questions: none about a time so far away that all occurrences before it are walked through, none for more than any
program asks. Pure.

Why:    a rule without an end has thousands of dates until 2100, and millions until 9999; each is made on the way. Each
        property that is asked for is answered of each entry; what is nested is read by functions that call themselves.
Hostile: the XML, whose document types were refused.
Source: RFC 4791, 7.8 to 7.10 (the precondition CALDAV:max-date-time).
"""

from __future__ import annotations

from io import StringIO
from typing import Literal
from xml.etree.ElementTree import ParseError

from defusedxml.ElementTree import iterparse  # type: ignore[import-untyped] # by which Radicale reads it

LAST_YEAR = 2100
MAX_DEPTH = 50
MAX_NAMED = 200
"""Elements but addresses. Apple's programs ask for some fifty properties."""
_SPANS = ("time-range", "expand", "limit-recurrence-set", "limit-freebusy-set")
TOO_FAR = (
    b'<?xml version="1.0" encoding="utf-8"?>\n<D:error xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav">'
    b"<C:max-date-time/></D:error>"
)


def why_refused(text: str) -> Literal["vast", "far", ""]:
    """``vast``: nested deeper, or more named but addresses, than any program does; ``far``: about a time that begins
    after LAST_YEAR; "" also for what is no XML, which Radicale refuses. Of text no encoding counts that it names,
    neither here nor there."""
    depth = named = 0
    far = False
    try:
        for event, one in iterparse(StringIO(text), events=("start", "end")):
            if event == "end":
                depth -= 1
                continue
            depth += 1
            named += one.tag != "{DAV:}href"
            if depth > MAX_DEPTH or named > MAX_NAMED:
                return "vast"
            far = far or (one.tag.rpartition("}")[2] in _SPANS and _begins_late(one.get("start", "")))
    except (ParseError, ValueError, LookupError):
        return ""
    return "far" if far else ""


def _begins_late(start: str) -> bool:
    return bool(start) and not start.startswith(("0", "1", "20", str(LAST_YEAR)))
