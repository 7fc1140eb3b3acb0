"""What the relay for copiers sent and refused, in words for those who look for a fault; how requests for one stand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from beffroi_protocol.relaying import Relay
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from beffroi.boxes.models import RelayDay, RelayRequest
from beffroi.lib import clock
from beffroi.portal import tags

REASONS = {
    "device": gettext_lazy("un appareil que les réglages ne nomment pas"),
    "sender": gettext_lazy("l’adresse d’expéditeur de l’appareil est mal écrite"),
    "recipient": gettext_lazy("un destinataire qui n’est pas admis"),
    "rate": gettext_lazy("trop d’envois en une heure"),
    "size": gettext_lazy("un document trop grand"),
    "content": gettext_lazy("un message mal formé : mettez à jour le logiciel de l’appareil"),
    "full": gettext_lazy("le boîtier est plein : il n’atteint pas le centre"),
    "moved": gettext_lazy(
        "le boîtier servait une autre collectivité : ce qui y attendait d’être envoyé a été supprimé"
    ),
    "onward": gettext_lazy("le centre l’a refusé : la boîte d’envoi a reçu la raison"),
}


_REQUEST = {
    "asked": (gettext_lazy("En attente du Département"), "", "clock"),
    "accepted": (gettext_lazy("Accordé : le relais est réglé"), "good", "circle-check"),
    "declined": (gettext_lazy("Refusé"), "warn", "circle-x"),
    "withdrawn": (gettext_lazy("Retirée"), "quiet", "undo-2"),
}


def request(row: RelayRequest) -> dict[str, Any]:
    """A request with its state in words; ``to``: recipients on one line, "" for the commune's own domains."""
    to = ", ".join(row.recipients.splitlines())
    return {"row": row, "state": tags.tag(_REQUEST, row.state), "to": to}


@dataclass
class Device:
    """``today_*``: of the present day (UTC); ``sent``, ``refused``: of all the days looked at. ``why``: of the last
    refusal, "" for none."""

    label: str
    at: str = ""
    sent: int = 0
    refused: int = 0
    today_sent: int = 0
    today_refused: int = 0
    last_at: datetime | None = None
    why: str = ""
    refused_at: datetime | None = None


def devices(relay: Relay | None, days: Iterable[RelayDay]) -> list[Device]:
    """Those of the policy in its order, then others that sent. ``days``: latest first."""
    found = {one.label: Device(one.label, one.at) for one in (relay.devices if relay is not None else ())}
    today = clock.now().date()
    for row in days:
        label = row.device or str(_("Autres appareils"))
        one = found.setdefault(label, Device(label))
        one.sent += row.sent
        one.refused += row.refused
        if row.day == today:
            one.today_sent, one.today_refused = row.sent, row.refused
        one.last_at = one.last_at or row.last_at
        if row.reason and one.refused_at is None:
            one.why, one.refused_at = str(REASONS.get(row.reason, row.reason)), row.refused_at
    return list(found.values())
