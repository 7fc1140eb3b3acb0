"""Registers the application ``identity`` of the core with Django."""

from __future__ import annotations

from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in


class IdentityConfig(AppConfig):
    name = "beffroi.core.identity"
    label = "identity"

    def ready(self) -> None:
        from allauth.mfa import signals  # noqa: PLC0415 - models need the registry

        from beffroi.core.identity import second_factors, sign_ins  # noqa: PLC0415 - the same

        user_logged_in.connect(sign_ins.on_signed_in, dispatch_uid="identity.sign_ins")
        signals.authenticator_added.connect(second_factors.on_added, dispatch_uid="identity.factor_added")
        signals.authenticator_removed.connect(
            second_factors.on_removed, dispatch_uid="identity.factor_removed"
        )
        signals.authenticator_reset.connect(second_factors.on_reset, dispatch_uid="identity.factor_reset")
