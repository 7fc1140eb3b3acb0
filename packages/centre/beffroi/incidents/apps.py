"""Registers the service ``incidents``."""

from __future__ import annotations

from django.apps import AppConfig


class IncidentsConfig(AppConfig):
    name = "beffroi.incidents"
    label = "incidents"
