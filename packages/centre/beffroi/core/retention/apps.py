"""Registers the application ``retention``, and finds what each application keeps only for a time."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class RetentionConfig(AppConfig):
    name = "beffroi.core.retention"
    label = "retention"

    def ready(self) -> None:
        autodiscover_modules("retention")
