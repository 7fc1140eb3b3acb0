"""Registers the service ``watch``."""

from __future__ import annotations

from django.apps import AppConfig


class WatchConfig(AppConfig):
    name = "beffroi.watch"
    label = "watch"
