"""Live updates of browsers: which page hears of which event.

Process: stream.
Input:   the grant is hostile until its HMAC fits. An event carries its kind and an identifier, never content:
         the page asks the portal for what it may see.
Fails:   closed: an event without a collectivité reaches the console only, unless its kind is for everyone.
Source:  WHATWG HTML, server-sent events.
"""

from __future__ import annotations

import msgspec

from beffroi.lib.errors import NotAllowed
from beffroi.stream.store import Event

PATH = "/live"
COOKIE = "beffroi_live"
CONSOLE = "live:console"
EVERYONE = "live:everyone"
IDLE_S = 15.0
LIFE_S = 3600.0
CONNECTIONS_A_PERSON = 8
GREETING = b"retry: 2000\n\n"
COMMENT = b":\n\n"

_FOR_EVERYONE = frozenset({"decision:activated", "decision:ended"})
_FOR_COMMUNES = (
    "decision:",
    "exception:",
    "appeal:",
    "remediation:",
    "campaign:",
    "box:",
    "mail:",
    "mailbox:",
    "incident:",
)
"""Beginnings of the kinds that a commune's pages hear of. Sightings are not among them: who reports is
confidential to watch."""
_NAMES = (
    "id",
    "exception_id",
    "appeal_id",
    "decision_id",
    "job_id",
    "incident_id",
    "campaign_id",
    "box_id",
    "approval_id",
    "sighting_id",
    "mailbox_id",
    "message_id",
    "fact_id",
)


def topics(collectivite_id: str | None, listener: str) -> tuple[str, ...]:
    """Return what a grant hears. Errors: NotAllowed (a console's grant on another listener)."""
    if collectivite_id is None:
        if listener not in ("", "console"):
            raise NotAllowed("live")
        return (CONSOLE,)
    return (EVERYONE, f"live:{collectivite_id}")


def audience(event: Event) -> tuple[str, ...]:
    """Return the topics that hear of an event."""
    owner = event.collectivite_id
    if owner is None and event.kind.startswith("decision:") and event.payload.get("scope") != "all":
        owner = event.payload.get("scope")
    if owner is not None:
        return (CONSOLE, f"live:{owner}") if event.kind.startswith(_FOR_COMMUNES) else (CONSOLE,)
    return (CONSOLE, EVERYONE) if event.kind in _FOR_EVERYONE else (CONSOLE,)


def message(event: Event) -> bytes:
    """Return one server-sent event: ``{"kind": outbox kind, "id": identifier of the subject}``."""
    subject = next((v for n in _NAMES if isinstance(v := event.payload.get(n), str)), "")
    return frame({"kind": event.kind, "id": subject}, event.id)


def frame(data: dict[str, object], number: int = 0) -> bytes:
    head = b"id: %d\n" % number if number else b""
    return head + b"data: " + msgspec.json.encode(data) + b"\n\n"
