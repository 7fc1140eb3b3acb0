"""Registers aliases and catch-alls."""

from __future__ import annotations

from django.apps import AppConfig


class AliasesConfig(AppConfig):
    name = "beffroi.mail.aliases"
    label = "mail_aliases"
