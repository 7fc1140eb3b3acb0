"""What the doors of town halls tell the decisions: who has one that works."""

from __future__ import annotations

from datetime import timedelta

from beffroi.boxes.models import Box
from beffroi.boxes.queries import SILENT_AFTER_S
from beffroi.core.decisions.reach import BOX, reaches
from beffroi.lib import clock


@reaches(BOX)
def communes_heard() -> set[str]:
    """Those with a box in service that was heard of late: only they can try a decision."""
    since = clock.now() - timedelta(seconds=SILENT_AFTER_S)
    heard = Box.objects.filter(state=Box.State.ACTIVE, last_seen_at__gte=since)
    return set(heard.values_list("collectivite_id", flat=True))
