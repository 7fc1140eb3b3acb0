"""Registers exports and erasures of closed mailboxes."""

from __future__ import annotations

from django.apps import AppConfig


class ClosingConfig(AppConfig):
    name = "beffroi.mail.closing"
    label = "mail_closing"
