"""What is kept of the weather: one row a collectivité and day."""

from __future__ import annotations

from django.db import models

from beffroi.core.fields import reference


class WeatherDay(models.Model):
    """The weather of one collectivité on one day (UTC): the worst of the day with its reasons, and the day's figures.

    ``reasons``: [code, count] pairs of ``rules.Reason``. ``figures``: numbers by name, as ``rules.FIGURES``.
    """

    collectivite_id = reference()
    day = models.DateField()
    level = models.CharField(max_length=8, default="calm")
    reasons = models.JSONField(default=list)
    figures = models.JSONField(default=dict)

    class Meta:
        db_table = "weather_day"
        indexes = (models.Index(fields=["day"], name="weather_by_day"),)
        constraints = (models.UniqueConstraint(fields=["collectivite_id", "day"], name="weather_once"),)
