"""Content lines of iCalendar, read in one pass each: what a stranger wrote never keeps a reader busy. Pure.

Why:    vobject's own expression for a line takes twice as long with each further parameter, where the line is none:
        thirty of them hold a thread for ten minutes. So what came by mail is read here, vobject is given an expression
        for the same lines that never goes back (``AS_VOBJECT``; ``effort.install``), and what a program stores is
        looked at before vobject reads it (``keeps_busy``).
Source: RFC 5545, 3.1 and 3.2; vobject.base (``patterns``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

MAX_DEPTH = 4
URN = "urn:uuid:"
MAX_PARAMETERS = 40
MAX_BARE = 8
"""Parameters without a value in a line: vCard 2.1 has some."""
AS_VOBJECT = re.compile(
    r"""^(?:(?P<group>[a-zA-Z0-9_-]++)\.)?(?P<name>[a-zA-Z0-9_-]++)
    (?P<params>(?:;(?=[;:]))?+(?:;[a-zA-Z0-9_-]++(?:[=,](?:"[^"]*+"|[^";:,=]*+))*+)*+)
    :(?P<value>.*+)$""",
    re.DOTALL | re.VERBOSE,
)
_FOLD = re.compile(r"\r?\n[ \t]")
MAX_SOFT = 1000
MAX_LINES = 20_000
"""Of an entry or card. A group of all contacts of a book has half as many."""
MAX_DATES = 10_000
"""That are added to a series, or left out of it."""
_DATES = re.compile(r"(?:[A-Z0-9-]+\.)?(?:RDATE|EXDATE)[;:]", re.ASCII | re.IGNORECASE)
_SOFT = re.compile(r"=[\x00-\x09\x0b-\x1f]*+\n")
_CARETED = re.compile(r"\^([n'^])")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


class Broken(ValueError):
    """These lines are no calendar."""


@dataclass(frozen=True)
class Line:
    """``params``: by upper-case names, the first value of each."""

    name: str
    params: dict[str, str]
    value: str

    @property
    def text(self) -> str:
        return unescaped(self.value)


@dataclass
class Component:
    """Lines and components by upper-case names, in their order."""

    name: str
    lines: dict[str, list[Line]] = field(default_factory=dict)
    parts: dict[str, list[Component]] = field(default_factory=dict)

    def first(self, name: str) -> Line | None:
        found = self.lines.get(name)
        return found[0] if found else None

    def value(self, name: str) -> str:
        found = self.first(name)
        return found.value.strip() if found else ""


def read(text: str) -> list[Component]:
    """The outermost components. Errors: Broken."""
    found: list[Component] = []
    open_ones: list[Component] = []
    for raw in _logical(text):
        line = _line(raw)
        if line.name == "BEGIN":
            one = Component(line.value.strip().upper())
            if len(open_ones) >= MAX_DEPTH:
                raise Broken
            (open_ones[-1].parts.setdefault(one.name, []) if open_ones else found).append(one)
            open_ones.append(one)
        elif not open_ones:
            raise Broken
        elif line.name == "END":
            if open_ones.pop().name != line.value.strip().upper():
                raise Broken
        else:
            open_ones[-1].lines.setdefault(line.name, []).append(line)
    if open_ones:
        raise Broken
    return found


def keeps_busy(text: str) -> bool:
    """Whether there are more lines, dates, or in a line parameters without a value than anybody writes, or so many
    lines end in "=" that vobject, which looks at all of an encoded line with each of them, would be long."""
    if sum(1 for _ in _SOFT.finditer(text)) > MAX_SOFT:
        return True
    dates = 0
    for number, raw in enumerate(_logical(text), 1):
        dates += raw.count(",") + 1 if _DATES.match(raw) else 0
        if number > MAX_LINES or dates > MAX_DATES:
            return True
        if raw.count(";") > MAX_BARE and _bare(raw) > MAX_BARE:
            return True
    return False


def unfolded(text: str) -> str:
    return _FOLD.sub("", text)


def unescaped(value: str) -> str:
    """Text (RFC 5545, 3.3.11). The name of a zone is one where it is defined, and none where it is used."""
    return _ESCAPED.sub(lambda found: "\n" if found[1] in "nN" else found[1], value)


def uncareted(value: str) -> str:
    """Of a parameter: the quotes, line ends and carets that are written with a caret (RFC 6868)."""
    return _CARETED.sub(lambda found: {"n": "\n", "'": '"', "^": "^"}[found[1]], value)


def bare_uid(uid: str) -> str:
    """As one is compared: programs say it with and without its scheme."""
    return uid.strip().lower().removeprefix(URN)


def head(raw: str) -> tuple[str, int]:
    """What stands before the first colon outside of quotes, and where that colon is; -1 without one."""
    at, opening = raw.find(":"), raw.find('"')
    while 0 <= opening < at:
        closing = raw.find('"', opening + 1)
        if closing < 0:
            at = -1
        elif closing > at:
            at = raw.find(":", closing)
        opening = raw.find('"', closing + 1)
    return (raw if at < 0 else raw[:at]), at


def _bare(raw: str) -> int:
    begun, _ = head(raw)
    return sum("=" not in piece for piece in begun.split(";")[1:])


def _logical(text: str) -> Iterator[str]:
    return (line for line in re.split(r"\r\n|\r|\n", unfolded(text)) if line.strip())


def _line(raw: str) -> Line:
    begun, at = head(raw)
    if at < 0:
        raise Broken
    pieces, start, quoted = [], 0, False
    for index, sign in enumerate(begun):
        if sign == '"':
            quoted = not quoted
        elif sign == ";" and not quoted:
            pieces.append(begun[start:index])
            start = index + 1
    name, *params = [*pieces, begun[start:]]
    if len(params) > MAX_PARAMETERS:
        raise Broken
    told: dict[str, str] = {}
    for one in params:
        key, _, value = one.partition("=")
        plain = value[1:].partition('"')[0] if value.startswith('"') else value.partition(",")[0]
        told.setdefault(key.strip().upper(), plain)
    text = raw[at + 1 :]
    if "TZID" in told and ":" in text:  # of a time, which has none: "TZID=GMT+01:00:" lacks its quotes
        more, _, text = text.rpartition(":")
        told["TZID"] += f":{more}"
    return Line(name.rpartition(".")[2].strip().upper(), told, text)
