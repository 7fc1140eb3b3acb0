"""Registers the import of old mailboxes."""

from __future__ import annotations

from django.apps import AppConfig


class ImportingConfig(AppConfig):
    name = "beffroi.mail.importing"
    label = "mail_import"
