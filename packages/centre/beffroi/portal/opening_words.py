"""Openings from the internet, and requests for them, in words."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy

from beffroi.boxes.models import OpeningRequest

_STATES = {
    "asked": (gettext_lazy("En attente du Département"), "", "clock"),
    "accepted": (gettext_lazy("Ouvert"), "good", "circle-check"),
    "declined": (gettext_lazy("Refusé"), "warn", "circle-x"),
    "withdrawn": (gettext_lazy("Retirée"), "quiet", "undo-2"),
    "ended": (gettext_lazy("Refermé"), "quiet", "circle-check"),
}


def request(row: OpeningRequest) -> dict[str, Any]:
    """A request with its state in words; ``what``: port and machine; ``by``: sources on one line."""
    title, tone, icon = _STATES[row.state]
    what = f"{row.protocol.upper()} {row.port} → {row.machine}"
    sources = ", ".join(row.sources.splitlines())
    return {"row": row, "title": str(title), "tone": tone, "icon": icon, "what": what, "sources": sources}
