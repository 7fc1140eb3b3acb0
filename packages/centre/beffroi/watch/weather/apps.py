"""Registers the weather, an application of its own within the watch."""

from __future__ import annotations

from django.apps import AppConfig


class WeatherConfig(AppConfig):
    name = "beffroi.watch.weather"
    label = "weather"
