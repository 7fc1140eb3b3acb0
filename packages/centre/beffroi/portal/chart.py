"""Pictures drawn on the server: bars a day, as inline SVG; its words stand beside it and keep their size. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.utils import timezone

from beffroi.lib import clock
from beffroi.portal.dates import date_format

WIDTH, HEIGHT, TOP = 560, 96, 4


@dataclass(frozen=True)
class Day:
    day: date
    count: int

    @property
    def label(self) -> str:
        return date_format(self.day, "j F")


@dataclass(frozen=True)
class Bar:
    """Geometry in the units of the picture's view box."""

    x: float
    y: float
    width: float
    height: float
    hot: bool
    count: int


@dataclass(frozen=True)
class Picture:
    bars: tuple[Bar, ...]
    first: str
    last: str
    total: int
    most: int = 0
    most_on: str = ""
    width: int = WIDTH
    height: int = HEIGHT


def per_day(moments: Iterable[datetime | None], *, days: int) -> list[Day]:
    """Counts of the last ``days`` local days, oldest first."""
    counts = Counter(timezone.localtime(one).date() for one in moments if one is not None)
    today = timezone.localtime(clock.now()).date()
    return [
        Day(day, counts[day]) for day in (today - timedelta(days=back) for back in range(days - 1, -1, -1))
    ]


def bars(days: list[Day]) -> Picture:
    """One bar a day; the highest one is the story, so it alone is coloured, and named in words."""
    most = max((one.count for one in days), default=0)
    step = WIDTH / max(len(days), 1)
    width = min(26.0, step * 0.66)
    drawn, told = [], ""
    for index, one in enumerate(days):
        height = (HEIGHT - TOP) * one.count / most if most else 0.0
        hot = bool(most) and one.count == most and not told
        told = one.label if hot else told
        x = index * step + (step - width) / 2
        drawn.append(
            Bar(
                round(x, 1),
                round(HEIGHT - height, 1),
                round(width, 1),
                round(height, 1),
                hot,
                one.count,
            )
        )
    labels = [one.label for one in days] or [""]
    return Picture(tuple(drawn), labels[0], labels[-1], sum(one.count for one in days), most, told)
