"""Many files that went from a root of the Coffre of late: when, with whose account, and the moment just before.

Rule:    nobody is stopped for it, since people do the same; they are led to where one action takes it back.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.drive.store import trash
from beffroi.drive.store.writing import Reading
from beffroi.drive.views import Place
from beffroi.lib import clock

TOLD_S = 3 * 86400
"""From a Friday evening to Monday."""


def told(reading: Reading, actor: Actor, root: Place) -> list[dict[str, Any]]:
    """For who may have them back; newest first."""
    if not root.rights.may_write:
        return []
    found = trash.much(reading, root.node.id, since_s=clock.epoch_s() - TOLD_S)
    named = identity.visible_names(actor, {one.person_id for one in found})
    return [
        {
            "who": named.get(one.person_id, ""),
            "at": datetime.fromtimestamp(one.first_s, UTC),
            "before": one.first_s - 1,
        }
        for one in found
    ]
