"""Registers the application ``identity`` of the core with Django."""

from __future__ import annotations

from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in


class IdentityConfig(AppConfig):
    name = "beffroi.core.identity"
    label = "identity"

    def ready(self) -> None:
        from beffroi.core.identity import sign_ins  # noqa: PLC0415 - its models need the registry

        user_logged_in.connect(sign_ins.on_signed_in, dispatch_uid="identity.sign_ins")
