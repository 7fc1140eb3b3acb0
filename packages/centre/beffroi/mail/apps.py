"""Registers the application ``mail`` with Django."""

from __future__ import annotations

from django.apps import AppConfig


class MailConfig(AppConfig):
    name = "beffroi.mail"
    label = "mail"

    def ready(self) -> None:
        from beffroi.mail import prevalence  # noqa: F401, PLC0415 - tells what hands in mail; models need the registry
