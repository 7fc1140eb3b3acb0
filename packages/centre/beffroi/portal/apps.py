"""The pages of the centre: the agents' portal and the console of the Département."""

from __future__ import annotations

from gettext import NullTranslations

from django.apps import AppConfig
from django.utils.translation import trans_real


class SourceFrench(NullTranslations):
    """The source strings are French without a catalogue; without this they count as in English: *0 courriels*."""

    def ngettext(self, msgid1: str, msgid2: str, n: float) -> str:
        return msgid1 if abs(n) < 2 else msgid2

    def npgettext(self, context: str, msgid1: str, msgid2: str, n: float) -> str:
        return self.ngettext(msgid1, msgid2, n)


class PortalConfig(AppConfig):
    name = "beffroi.portal"
    label = "portal"

    def ready(self) -> None:
        trans_real.translation("fr").add_fallback(SourceFrench())
