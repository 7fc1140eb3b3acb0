"""Registers restores of mail from the backups."""

from __future__ import annotations

from django.apps import AppConfig


class BackupConfig(AppConfig):
    name = "beffroi.mail.backup"
    label = "mail_backup"
