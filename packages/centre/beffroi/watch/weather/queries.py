"""Read the weather on someone's behalf: the Département sees all, a commune its own."""

from __future__ import annotations

from datetime import date

from django.db.models import QuerySet

from beffroi.core.identity.actor import Actor
from beffroi.watch.weather.models import WeatherDay


def visible_days(actor: Actor, *, since: date, until: date | None = None) -> QuerySet[WeatherDay]:
    """Days from ``since`` to ``until`` (both included), oldest first: a commune's own, the Département's all."""
    rows = WeatherDay.objects.filter(day__gte=since).order_by("day", "collectivite_id")
    if until is not None:
        rows = rows.filter(day__lte=until)
    return actor.visible(rows)
