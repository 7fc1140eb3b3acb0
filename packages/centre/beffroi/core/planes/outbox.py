"""Publish from a plane without Django: the same outbox row, lock and wake-up as ``beffroi.core.events.outbox``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from beffroi.core.planes import wake
from beffroi.core.planes.db import Database
from beffroi.lib import clock
from beffroi.lib.errors import Conflict


def publish(
    database: Database,
    kind: str,
    payload: Mapping[str, object],
    *,
    run: Path,
    collectivite_id: str | None = None,
) -> None:
    """Add one event inside ``database.transaction()``; consumers wake after its commit.

    Errors: Conflict outside of a transaction: the change and its event must be one.
    """
    if not database.in_transaction:
        raise Conflict("an event is published outside of a transaction")
    database.serialise_outbox()
    database.execute(
        "INSERT INTO outbox (kind, collectivite_id, payload, created_at) VALUES (?, ?, ?, ?)",
        (kind, collectivite_id, json.dumps(payload, separators=(",", ":"), ensure_ascii=False), clock.now()),
    )
    database.announce_outbox()
    database.on_commit(_WakeOnce(run))


class _WakeOnce:
    def __init__(self, run: Path) -> None:
        self._run = run

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _WakeOnce) and other._run == self._run

    def __hash__(self) -> int:
        return hash(self._run)

    def __call__(self) -> None:
        wake.send_all(self._run)
