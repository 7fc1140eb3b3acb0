"""Read the weather on someone's behalf: the Département sees all, a commune its own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from django.db.models import QuerySet

from beffroi.core.identity.actor import Actor
from beffroi.watch.weather.models import WeatherDay
from beffroi.watch.weather.rules import Weather, of_day


def visible_days(actor: Actor, *, since: date, until: date | None = None) -> QuerySet[WeatherDay]:
    """Days from ``since`` to ``until`` (both included), oldest first: a commune's own, the Département's all."""
    rows = WeatherDay.objects.filter(day__gte=since).order_by("day", "collectivite_id")
    if until is not None:
        rows = rows.filter(day__lte=until)
    return actor.visible(rows)


def days_by_now(
    actor: Actor,
    *,
    since: date,
    today: date,
    levels: Mapping[str, Weather],
    figures: Mapping[str, Mapping[str, int]],
) -> list[WeatherDay]:
    """The days from ``since`` on, the last one as it is by now; nothing is written. ``levels``, ``figures``: of this
    moment, by collectivité."""
    days = list(visible_days(actor, since=since, until=today))
    known = {row.collectivite_id: row for row in days if row.day == today}
    for owner, weather in levels.items():
        if owner not in known:
            known[owner] = WeatherDay(collectivite_id=owner, day=today)
            days.append(known[owner])
        row = known[owner]
        row.level, row.reasons = of_day(row.level, row.reasons, weather)
        row.figures = dict(figures.get(owner, row.figures))
    return days
