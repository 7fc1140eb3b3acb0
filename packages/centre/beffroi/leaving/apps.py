"""Registers departures and erasures of whole collectivités."""

from __future__ import annotations

from django.apps import AppConfig


class LeavingConfig(AppConfig):
    name = "beffroi.leaving"
    label = "leaving"
