"""How long the weather of a day is kept: a year's comparison."""

from __future__ import annotations

from beffroi.core.retention.registry import BeforeDay, Category, category
from beffroi.watch.weather.models import WeatherDay

KEEP_DAYS = 400

past = BeforeDay(WeatherDay)

category(Category("weather_days", 70, KEEP_DAYS, past))
