"""A month or the last days of a collectivité, or of the département, in figures: sums of kept days. Each for itself."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from beffroi.core.audit import queries as audit
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import NotFound
from beffroi.portal import chart, weather, weather_words
from beffroi.portal.dates import date_format
from beffroi.watch.weather.models import WeatherDay
from beffroi.watch.weather.retention import KEEP_DAYS
from beffroi.watch.weather.rules import Level, worse

SIGN_IN_REFUSED = "identity:sign_in:refused_by_door"
_MONTH = re.compile(r"(20\d\d)-(0[1-9]|1[0-2])")


@dataclass(frozen=True)
class Month:
    """``code``: AAAA-MM. ``last``: its last day, or today."""

    first: date
    last: date

    @property
    def code(self) -> str:
        return self.first.strftime("%Y-%m")

    @property
    def name(self) -> str:
        return date_format(self.first, "F Y")

    @property
    def whole(self) -> bool:
        return (self.last + timedelta(days=1)).day == 1

    def before(self, enrolled_at: datetime | None) -> bool:
        """Whether it was over before a collectivité was enrolled: then nothing was looked at, which is not nothing."""
        return enrolled_at is not None and self.last < enrolled_at.date()


def month_of(code: str) -> Month:
    """The present one for "". Errors: NotFound for what is no month, lies ahead, or is not kept any more."""
    today = clock.now().date()
    found = _MONTH.fullmatch(code or today.strftime("%Y-%m"))
    if found is None:
        raise NotFound("month")
    first = date(int(found[1]), int(found[2]), 1)
    last = following(first) - timedelta(days=1)
    if first > today or last < today - timedelta(days=KEEP_DAYS):
        raise NotFound("month")
    return Month(first, min(last, today))


def months() -> list[Month]:
    """The months that may be asked for, the present one first."""
    first = clock.now().date().replace(day=1)
    found = []
    while first >= clock.now().date() - timedelta(days=KEEP_DAYS):
        found.append(month_of(first.strftime("%Y-%m")))
        first = (first - timedelta(days=1)).replace(day=1)
    return found


def since(enrolled_at: datetime | None) -> dict[str, list[Month] | bool]:
    """``months`` of which there is a page for who was enrolled then, and whether that ``leaves_out`` some."""
    kept = months()
    known = [one for one in kept if not one.before(enrolled_at)]
    return {"months": known, "leaves_out": len(known) < len(kept)}


def following(first: date) -> date:
    """The first day of the month after ``first``, the first day of one."""
    return (first.replace(day=28) + timedelta(days=4)).replace(day=1)


@dataclass(frozen=True)
class DayLine:
    """One day as it is told: ``level`` as ``weather_words.level``."""

    day: date
    level: dict[str, str]
    reasons: list[str]
    attempts: int

    @property
    def label(self) -> str:
        return date_format(self.day, "j F")


@dataclass(frozen=True)
class Told:
    """``figures`` by name; ``levels``: (level, days of it), the worst first; ``lines``: known days, oldest first."""

    figures: Counter[str]
    levels: list[tuple[dict[str, str], int]]
    lines: list[DayLine]
    picture: chart.Picture

    @property
    def reasons(self) -> list[tuple[str, int]]:
        """What made days less than calm, and how many; the most frequent first."""
        return Counter(text for one in self.lines for text in one.reasons).most_common()


def told(actor: Actor, first: date, last: date) -> Told:
    """What the days from ``first`` to ``last`` counted for the one collectivité that the actor belongs to."""
    rows = weather.days(actor, first, last)
    lines = [
        DayLine(
            row.day,
            weather_words.level(row.level),
            [weather_words.past(code) for code, _count in row.reasons],
            weather.attempts(row.figures),
        )
        for row in rows
    ]
    counts = Counter(row.level for row in rows)
    known = {line.day: line.attempts for line in lines}
    length = (last - first).days + 1
    days = [chart.Day(day, known.get(day, 0)) for day in (first + timedelta(days=n) for n in range(length))]
    return Told(
        summed(rows),
        [(weather_words.level(name), counts[name]) for name in reversed(Level) if counts[name]],
        lines,
        chart.bars(days),
    )


def summed(rows: Iterable[WeatherDay]) -> Counter[str]:
    total: Counter[str] = Counter()
    for row in rows:
        total.update(row.figures)
    return total


def by_collectivite(actor: Actor, month: Month) -> dict[str, tuple[Counter[str], Level]]:
    """Figures and the worst level of each collectivité in a month."""
    found: dict[str, tuple[Counter[str], Level]] = {}
    for row in weather.days(actor, month.first, month.last):
        figures, worst = found.get(row.collectivite_id, (Counter[str](), Level.CALM))
        figures.update(row.figures)
        found[row.collectivite_id] = (figures, worse(worst, row.level))
    return found


def sign_ins_refused(month: Month) -> int:
    """Sign-ins at the portal from blocked addresses, in the whole département: nobody knows whose they were."""
    found = audit.counts_by_day(SIGN_IN_REFUSED, since=month.first)
    return sum(count for day, count in found.items() if day <= month.last)
