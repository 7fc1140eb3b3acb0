"""Decisions of little weight, and what the feed is told of them: for tests of trust and of stages."""

from __future__ import annotations

import json
from typing import Any

from beffroi.core.decisions import actions, exceptions
from beffroi.core.decisions.models import Decision, LocalException
from beffroi.core.events.models import OutboxEvent
from beffroi.core.identity.actor import Actor
from beffroi.stream.store import Event, channel_events
from beffroi_protocol.indicators import Indicator, normalise

from tests.conftest import Commune

SITE = normalise("domain", "fournitures-bureau.com")


def decide(actor: Actor, indicator: Indicator = SITE, **changes: Any) -> Decision:
    values: dict[str, Any] = {
        "action": "block",
        "reason": "lone_source",
        "evidence": {"communes": 0, "detectors": ["listed_name"]},
        "rule": "lone_source",
        "ttl_s": 7 * 86400,
    }
    return actions.activate(actor=actor, indicator=indicator, **(values | changes))


def allow(commune: Commune, indicator: Indicator = SITE, **changes: Any) -> LocalException:
    values: dict[str, Any] = {
        "actor": commune.agent,
        "collectivite_id": commune.id,
        "ttl_s": 3600,
        "reason": "notre fournisseur",
    }
    return exceptions.allow_locally(indicator=indicator, **(values | changes))


def feed() -> dict[tuple[str, str], str]:
    """(scope, identifier) -> action: what a newcomer would be told, from the events in their order."""
    state: dict[tuple[str, str], str] = {}
    for row in OutboxEvent.objects.order_by("id"):
        event = Event(row.id, row.kind, row.collectivite_id, json.loads(row.payload))
        for change in channel_events(event):
            key = (change.scope, change.decision_id)
            state.pop(key, None)
            if (entry := change.entry) is not None:
                state[key] = entry.action.value
    return state
