"""Registers functional mailboxes and departures."""

from __future__ import annotations

from django.apps import AppConfig


class PeopleConfig(AppConfig):
    name = "beffroi.mail.people"
    label = "mail_people"
