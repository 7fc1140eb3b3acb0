"""What watch does when others report.

Process: worker.
"""

from __future__ import annotations

from beffroi.core.events.registry import Event, consumer
from beffroi.watch import actions, clustering


def _landing(event: Event) -> dict[str, list[str]]:
    """Resolve before the transaction: a slow name server must not hold the database."""
    pairs = event.payload.get("indicators")
    return actions.resolve(clustering.read(pairs if isinstance(pairs, list) else []))


@consumer(name="watch.sightings", kinds=("sighting:reported",), prepare=_landing)
def take_in_sighting(event: Event, landing: dict[str, list[str]]) -> None:
    sighting_id = event.payload.get("sighting_id")
    if isinstance(sighting_id, str) and 0 < len(sighting_id) <= 40:
        actions.take_in(sighting_id=sighting_id, payload=event.payload, landing=landing)
