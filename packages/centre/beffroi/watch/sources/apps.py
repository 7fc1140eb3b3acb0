"""Registers the outside sources of ``watch``."""

from __future__ import annotations

from django.apps import AppConfig


class SourcesConfig(AppConfig):
    name = "beffroi.watch.sources"
    label = "sources"
