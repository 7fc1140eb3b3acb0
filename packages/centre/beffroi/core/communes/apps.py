"""Registers the application ``communes`` of the core with Django."""

from __future__ import annotations

from django.apps import AppConfig
from django.db.backends.signals import connection_created
from django.db.models.signals import post_migrate

from beffroi.core.communes import row_security


class CommunesConfig(AppConfig):
    name = "beffroi.core.communes"
    label = "communes"

    def ready(self) -> None:
        post_migrate.connect(row_security.build, sender=self)
        connection_created.connect(row_security.tell_new_connection)
