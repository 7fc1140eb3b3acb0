"""Registers the probe of ``mail``."""

from __future__ import annotations

from django.apps import AppConfig


class ProbeConfig(AppConfig):
    name = "beffroi.mail.probe"
    label = "mail_probe"
