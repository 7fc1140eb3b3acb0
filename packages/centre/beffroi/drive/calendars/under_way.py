"""A series that has begun, in two: what was, as it was, and what comes, beginning with its next date. Pure.

Rule:    only where the rule, begun at the next date, gives the dates that it gave before. A date is past once it has
         begun, a whole day once it has come.
Source:  RFC 5545, 3.3.10 and 3.8.5; docs/decisions/0102-a-series-that-has-begun-is-split.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, time
from itertools import islice, takewhile
from typing import NamedTuple

from dateutil.rrule import rrulestr

from beffroi.drive.calendars.itip import Event, Message, Moment
from beffroi.drive.calendars.zone_names import LOCAL

ENDS = ("COUNT", "UNTIL")
MOST_PAST, COMPARED = 10_000, 100
"""Dates that are counted, and those that are compared with what they were."""


class Halves(NamedTuple):
    """``past``: nothing where no date is past; then ``coming`` is the series."""

    past: tuple[Event, ...]
    coming: Message


def halves(series: Message, now: datetime) -> Halves | None:
    """None where no date comes, and where nobody could say how it goes on: a rule that does not begin at its first
    date, an added date before the next one of the rule. Errors: ValueError, OverflowError (an end that is no date)."""
    main = series.main
    today = datetime.combine(now.astimezone(LOCAL).date(), time())
    present = today if main.all_day else wall(now, main)
    left_out = {wall(one, main) for one in main.left_out}
    begun = list(takewhile(lambda one: one <= present, islice(_dates(main), MOST_PAST + 1)))
    if len(begun) > MOST_PAST:
        return None
    if left_out.issuperset([*begun, *(one for one in _added(main) if one <= present)]):
        return Halves((), series)
    coming = [one for one in _added(main) if one > present and one not in left_out]
    gone, at = len(begun), coming[0] if coming and not main.rule else None
    for one in islice(_dates(main), gone, None):
        if one not in left_out:
            at = one
            break
        gone += 1
    if at is None or not begun or next(_endless(main), None) != wall(main.starts, main):
        return None
    changed = [wall(one.occurrence, main) for one in series.events[1:] if one.occurrence is not None]
    if any(present < one < at for one in (*coming, *changed)):
        return None
    rest = _begun_at(main, at, gone)
    if main.rule and [*islice(_dates(rest), COMPARED)] != [*islice(_dates(main), gone, gone + COMPARED)]:
        return None
    rule = _with_ends(main.rule, COUNT=str(len(begun))) if main.rule else ""
    was = replace(
        main, rule=rule, dates=_some(main, main.dates, at)[0], left_out=_some(main, main.left_out, at)[0]
    )
    others = [(one, one.occurrence) for one in series.events[1:] if one.occurrence is not None]
    return Halves(
        (was, *(one for one, of in others if wall(of, main) < at)),
        Message(series.method, (rest, *(one for one, of in others if wall(of, main) >= at))),
    )


def parts(rule: str) -> dict[str, str]:
    return dict(piece.split("=", 1) for piece in rule.split(";") if "=" in piece)


def wall(moment: Moment, main: Event) -> datetime:
    """By the clock of the series, without its zone; midnight of a date."""
    if not isinstance(moment, datetime):
        return datetime.combine(moment, time())
    zone = main.starts.tzinfo if isinstance(main.starts, datetime) else UTC
    return moment.astimezone(zone).replace(tzinfo=None)


# -- inside ------------------------------------------------------------------------------------------------------


def _endless(main: Event) -> Iterator[datetime]:
    """Of the rule, without its end; of none, the first date."""
    first = wall(main.starts, main)
    if not main.rule:
        return iter((first,))
    return iter(rrulestr(_with_ends(main.rule), dtstart=first))


def _dates(main: Event) -> Iterator[datetime]:
    """Of the rule, also those that are left out."""
    found, said = _endless(main), parts(main.rule)
    if "COUNT" in said:
        found = islice(found, int(said["COUNT"]))
    if "UNTIL" in said:
        until = _until(said["UNTIL"], main)
        found = takewhile(lambda one: one <= until, found)
    return found


def _until(text: str, main: Event) -> datetime:
    """As dateutil has it, a date is its midnight. Errors: ValueError."""
    form = "%Y%m%dT%H%M%S" if "T" in text else "%Y%m%d"
    read = datetime.strptime(text.removesuffix("Z"), form)  # noqa: DTZ007 - by the clock of the series, or made so
    return wall(read.replace(tzinfo=UTC), main) if text.endswith("Z") else read


def _added(main: Event) -> list[datetime]:
    return sorted(wall(one, main) for one in main.dates)


def _begun_at(main: Event, at: datetime, gone: int) -> Event:
    """``gone``: dates of the rule before ``at``."""
    starts: Moment = at.date()
    if isinstance(main.starts, datetime):
        starts = at.replace(tzinfo=main.starts.tzinfo)
    said = parts(main.rule)
    ends = {"COUNT": str(int(said["COUNT"]) - gone)} if "COUNT" in said else {}
    ends |= {"UNTIL": said["UNTIL"]} if "UNTIL" in said else {}
    return replace(
        main,
        starts=starts,
        ends=starts + (wall(main.ends, main) - wall(main.starts, main)),
        rule=_with_ends(main.rule, **ends),
        dates=tuple(one for one in _some(main, main.dates, at)[1] if wall(one, main) != at),
        left_out=_some(main, main.left_out, at)[1],
    )


def _some(
    main: Event, moments: tuple[Moment, ...], at: datetime
) -> tuple[tuple[Moment, ...], tuple[Moment, ...]]:
    """Those before ``at``, and the others."""
    before = tuple(one for one in moments if wall(one, main) < at)
    return before, tuple(one for one in moments if wall(one, main) >= at)


def _with_ends(rule: str, **ends: str) -> str:
    kept = {name: value for name, value in parts(rule).items() if name not in ENDS}
    return ";".join(f"{name}={value}" for name, value in (kept | ends).items())
