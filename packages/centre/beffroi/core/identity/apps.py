"""Registers the application ``identity`` of the core with Django."""

from __future__ import annotations

from django.apps import AppConfig


class IdentityConfig(AppConfig):
    name = "beffroi.core.identity"
    label = "identity"
