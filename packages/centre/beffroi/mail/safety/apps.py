"""Registers the application ``mail_safety``, an application of its own within mail."""

from __future__ import annotations

from django.apps import AppConfig


class SafetyConfig(AppConfig):
    name = "beffroi.mail.safety"
    label = "mail_safety"
