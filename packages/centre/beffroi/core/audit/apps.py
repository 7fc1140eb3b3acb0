"""Registers the application ``audit`` of the core with Django."""

from __future__ import annotations

from django.apps import AppConfig


class AuditConfig(AppConfig):
    name = "beffroi.core.audit"
    label = "audit"
