"""Registers the application ``events`` of the core with Django."""

from __future__ import annotations

from django.apps import AppConfig


class EventsConfig(AppConfig):
    name = "beffroi.core.events"
    label = "events"
