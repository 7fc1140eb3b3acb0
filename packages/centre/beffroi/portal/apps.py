"""The pages of the centre: the agents' portal and the console of the Département."""

from __future__ import annotations

from django.apps import AppConfig


class PortalConfig(AppConfig):
    name = "beffroi.portal"
    label = "portal"
