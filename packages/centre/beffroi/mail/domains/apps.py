"""Registers the mail domains of ``mail``."""

from __future__ import annotations

from django.apps import AppConfig


class DomainsConfig(AppConfig):
    name = "beffroi.mail.domains"
    label = "mail_domains"
