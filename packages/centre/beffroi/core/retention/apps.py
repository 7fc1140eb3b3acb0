"""Registers the application ``retention`` of the core with Django."""

from __future__ import annotations

from django.apps import AppConfig


class RetentionConfig(AppConfig):
    name = "beffroi.core.retention"
    label = "retention"
