"""Registers the application ``events`` of the core, and finds every application's consumers."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class EventsConfig(AppConfig):
    name = "beffroi.core.events"
    label = "events"

    def ready(self) -> None:
        autodiscover_modules("consumers")
