"""Keep the weather day by day; for how long: ``retention``.

Process: worker. Days are UTC, as those of the boîtiers' counts.
Input:   levels and figures that the portal's job composed from all services.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date
from itertools import batched

from beffroi.watch.weather.models import WeatherDay
from beffroi.watch.weather.rules import Level, Weather, of_day

_BATCH = 100
"""Rows of one transaction: on SQLite a decision waits no longer than for these."""


def record_weather(found: Mapping[str, Weather], *, day: date) -> None:
    """Keep the worst level of the day for each collectivité, with the reasons of that moment."""
    known = {row.collectivite_id: row for row in WeatherDay.objects.filter(day=day)}
    new, changed = [], []
    for owner, weather in found.items():
        row = known.get(owner) or WeatherDay(collectivite_id=owner, day=day)
        before = row.level, row.reasons
        row.level, row.reasons = of_day(*before, weather)
        if owner not in known:
            new.append(row)
        elif before != (row.level, row.reasons):
            changed.append(row)
    _write(new, changed, ["level", "reasons"])


def record_figures(
    found: Mapping[tuple[str, date], Mapping[str, int]], *, owners: Collection[str], since: date
) -> int:
    """Write the figures of these days of these collectivités where they changed; return how many did. Late news reaches
    its own day."""
    rows = WeatherDay.objects.filter(collectivite_id__in=owners, day__gte=since)
    known = {(row.collectivite_id, row.day): row for row in rows}
    new, changed = [], []
    for (owner, day), figures in found.items():
        row = known.get((owner, day))
        if row is None:
            new.append(
                WeatherDay(collectivite_id=owner, day=day, level=str(Level.CALM), figures=dict(figures))
            )
        elif row.figures != figures:
            row.figures = dict(figures)
            changed.append(row)
    _write(new, changed, ["figures"])
    return len(new) + len(changed)


def _write(new: list[WeatherDay], changed: list[WeatherDay], fields: list[str]) -> None:
    for part in batched(new, _BATCH, strict=False):
        WeatherDay.objects.bulk_create(part, ignore_conflicts=True)
    for part in batched(changed, _BATCH, strict=False):
        WeatherDay.objects.bulk_update(part, fields)
