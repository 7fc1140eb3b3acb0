"""What no decision may ever block: the floor of the protocol, well-known services, members, the centre itself."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

from beffroi_protocol.indicators import Indicator, Kind, registered_names
from django.conf import settings

from beffroi.core.communes.models import Domain


@dataclass(frozen=True)
class ProtectedList:
    names: frozenset[str] = field(default_factory=frozenset)

    def check(self, indicator: Indicator) -> str:
        """Return why the indicator is protected, or an empty string."""
        if indicator.kind is Kind.DOMAIN and self.names.intersection(registered_names(indicator.value)):
            return "member or centre name"
        if indicator.kind is Kind.IP and not ipaddress.ip_address(indicator.value).is_global:
            return "private or reserved address"
        return ""


def current() -> ProtectedList:
    own = {settings.BEFFROI.portal_name, settings.BEFFROI.console_name, settings.BEFFROI.box_name}
    return ProtectedList(frozenset(Domain.objects.values_list("name", flat=True)) | own)
