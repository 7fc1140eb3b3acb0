"""Registers people's own Sieve scripts, a part of ``mail``."""

from __future__ import annotations

from django.apps import AppConfig


class ScriptsConfig(AppConfig):
    name = "beffroi.mail.scripts"
    label = "mail_scripts"
