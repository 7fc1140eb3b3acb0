"""Which rules of repetition are taken: none that makes a calendar costly for everybody who looks at it.

A question about a time walks through the occurrences from the first one on, and a rule without an end has no last one.
Read from what vobject understood, not from the text: a value may be folded or encoded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from radicale.item import read_components

_NAMES = ("rrule", "exrule")
_OFTEN, _TIMES = re.compile(r"FREQ=(?:SECONDLY|MINUTELY|HOURLY)"), re.compile(r"BY(?:SECOND|MINUTE|HOUR)=")
_FOLDED = re.compile(r"\r?\n[ \t]")


def repeats_within_a_day(text: str) -> bool:
    """Whether an entry repeats more often than daily; False for what cannot be read, which nobody stores."""
    if not any(name in _FOLDED.sub("", text).lower() for name in _NAMES):
        return False
    try:
        components = read_components(text)
    except Exception:  # noqa: BLE001 - whatever vobject makes of it: Radicale refuses it for the same reason
        return False
    return any(is_often(value) for value in _rules(components))


def is_often(rule: str) -> bool:
    """Of a rule as long as an item may be: no pattern that runs to its end from each place of it."""
    for part in "".join(rule.split()).upper().split(";"):
        times = _TIMES.search(part)
        if _OFTEN.search(part) or (times and part.find(",", times.end()) >= 0):
            return True
    return False


def _rules(components: list[Any]) -> Iterator[str]:
    for component in components:
        for name in _NAMES:
            yield from (str(one.value) for one in getattr(component, "contents", {}).get(name, []))
        yield from _rules(list(component.components()))
