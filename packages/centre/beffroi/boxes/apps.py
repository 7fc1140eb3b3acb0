"""Registers the service ``boxes``."""

from __future__ import annotations

from django.apps import AppConfig


class BoxesConfig(AppConfig):
    name = "beffroi.boxes"
    label = "boxes"

    def ready(self) -> None:
        # Registers its consumer; the module of this name is found by events itself.
        from beffroi.boxes import learned  # noqa: F401, PLC0415
