"""Live updates of browsers: which page hears of which event.

Process: stream.
Input:   the grant is hostile until its HMAC fits. An event carries its kind and an identifier, never content:
         the page asks the portal for what it may see.
Fails:   closed: an event without a collectivité reaches the console only, unless its kind is for everyone.
Source:  WHATWG HTML, server-sent events.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from beffroi.lib.errors import NotAllowed
from beffroi.stream.store import Event
from beffroi.stream.uplink import Enforced

PATH = "/live"
COOKIE = "beffroi_live"
CONSOLE = "live:console"
EVERYONE = "live:everyone"
IDLE_S = 15.0
LIFE_S = 3600.0
CONNECTIONS_A_PERSON = 8
GREETING = b"retry: 2000\n\n"
COMMENT = b":\n\n"
GATHER_S = 0.25
"""One decision is enforced by a whole fleet at once: what comes meanwhile is one frame."""
MOST_FRAMES = 32
"""Of one audience at once; of more (each box has its own overlay) one sum, far below what a page's queue takes."""

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


class Gathered:
    """What boxes enforce, told in counts: the first at once, then one frame for each channel and version every quarter
    of a second. Runs in the event loop.

    Frame: ``{"kind": "box:enforced", "channel", "version", "boxes": how many, "id": the box, where it is one}``; of
    very many channels one with ``channel`` "" and ``version`` 0.
    """

    def __init__(self, send: Callable[[str, bytes], object]) -> None:
        self._send = send
        self._waiting: dict[str, dict[tuple[str, int], set[str]]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, one: Enforced) -> None:
        for topic in (CONSOLE, f"live:{one.collectivite_id}"):
            frames = self._waiting.setdefault(topic, {})
            frames.setdefault((one.channel, one.version), set()).add(one.box_id)
        if self._timer is None:
            self._flush()

    def _flush(self) -> None:
        self._timer = None
        if not self._waiting:
            return
        told, self._waiting = self._waiting, {}
        for topic, frames in told.items():
            if len(frames) > MOST_FRAMES:
                frames = {("", 0): set().union(*frames.values())}  # noqa: PLW2901
            for (channel, version), boxes in frames.items():
                self._send(topic, frame(_enforced(channel, version, boxes)))
        self._timer = asyncio.get_running_loop().call_later(GATHER_S, self._flush)


def _enforced(channel: str, version: int, boxes: set[str]) -> dict[str, object]:
    one = next(iter(boxes)) if len(boxes) == 1 else ""
    return {"kind": "box:enforced", "id": one, "channel": channel, "version": version, "boxes": len(boxes)}
