"""Registers what people set for their own mailbox, an application of its own within mail."""

from __future__ import annotations

from django.apps import AppConfig


class FiltersConfig(AppConfig):
    name = "beffroi.mail.filters"
    label = "mail_filters"
