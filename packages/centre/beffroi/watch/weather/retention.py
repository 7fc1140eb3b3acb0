"""How long the weather of a day is kept: a year's comparison."""

from __future__ import annotations

from datetime import datetime

from django.db.models import QuerySet

from beffroi.core.retention.registry import Category, category
from beffroi.watch.weather.models import WeatherDay

KEEP_DAYS = 400


def past(cutoff: datetime) -> QuerySet[WeatherDay]:
    return WeatherDay.objects.filter(day__lt=cutoff.date())


category(Category("weather_days", 70, KEEP_DAYS, past))
