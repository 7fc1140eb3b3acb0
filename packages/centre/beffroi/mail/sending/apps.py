"""Registers sending, an application of its own within mail."""

from __future__ import annotations

from django.apps import AppConfig


class SendingConfig(AppConfig):
    name = "beffroi.mail.sending"
    label = "mail_sending"
