"""Registers the application ``decisions`` of the core with Django."""

from __future__ import annotations

from django.apps import AppConfig


class DecisionsConfig(AppConfig):
    name = "beffroi.core.decisions"
    label = "decisions"
