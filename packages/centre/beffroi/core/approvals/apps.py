"""Registers the application ``approvals`` of the core with Django."""

from __future__ import annotations

from django.apps import AppConfig


class ApprovalsConfig(AppConfig):
    name = "beffroi.core.approvals"
    label = "approvals"
