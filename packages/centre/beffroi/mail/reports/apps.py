"""Registers the reports of ``mail``."""

from __future__ import annotations

from django.apps import AppConfig


class ReportsConfig(AppConfig):
    name = "beffroi.mail.reports"
    label = "mail_reports"
