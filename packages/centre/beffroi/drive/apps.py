"""Registers the application ``drive`` with Django: its consumers and what it keeps for a time only."""

from __future__ import annotations

from django.apps import AppConfig


class DriveConfig(AppConfig):
    name = "beffroi.drive"
    label = "drive"
