"""Registers the application ``communes`` of the core with Django."""

from __future__ import annotations

from django.apps import AppConfig


class CommunesConfig(AppConfig):
    name = "beffroi.core.communes"
    label = "communes"
