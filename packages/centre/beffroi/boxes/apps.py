"""Registers the service ``boxes``."""

from __future__ import annotations

from django.apps import AppConfig


class BoxesConfig(AppConfig):
    name = "beffroi.boxes"
    label = "boxes"
