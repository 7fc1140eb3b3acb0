"""What a box tells of a stranger that touched one of its traps."""

from __future__ import annotations

from beffroi.core.events import outbox
from beffroi.core.events.running import run_pending
from beffroi.lib import clock
from beffroi.lib.ids import new_id
from django.db import transaction

SCANNER = "185.203.116.200"


def trap(
    collectivite_id: str, *, address: str = SCANNER, detector: str = "box_honeyport", tcp: str = "true"
) -> None:
    """What a box tells, as ``boxes`` hands it on, and the worker takes it in."""
    with transaction.atomic():
        outbox.publish(
            "sighting:from_box",
            {
                "sighting_id": new_id("sgt"),
                "detector": detector,
                "door": "packet",
                "collectivite_id": collectivite_id,
                "person_id": "",
                "seen_at": clock.epoch_s(),
                "indicators": [["ip", address]],
                "evidence": {"completed_tcp": tcp, "port": "2323"},
                "message": "",
            },
            collectivite_id=collectivite_id,
        )
    run_pending("main")
