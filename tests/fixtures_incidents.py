"""What the tests of incidents share: a decision, a sign-in from its address, what boîtiers tell."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from beffroi.core.decisions import actions as decisions
from beffroi.core.decisions.models import Decision
from beffroi.core.events import outbox
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Membership
from beffroi.incidents import actions, queries
from beffroi.incidents.models import Incident
from beffroi.incidents.recorded import Captured
from beffroi.incidents.rules import Kind
from beffroi.lib import clock
from beffroi_protocol.indicators import normalise
from django.db import transaction
from django.test import Client

from tests.conftest import PASSWORD, Commune

ATTACKER = "185.203.116.9"


def decide(
    value: str = ATTACKER, kind: str = "ip", *, detectors: tuple[str, ...] = (), **changes: str
) -> Decision:
    decision = decisions.activate(
        actor=Actor.system("tests"),
        indicator=normalise(kind, value),
        action=changes.get("action", "block"),
        scope=changes.get("scope", "all"),
        reason="phishing",
        evidence={"communes": 2, "persons": 2, "detectors": list(detectors)},
        rule="two_communes",
        ttl_s=3600,
        strength=changes.get("strength", "strong"),
    )
    run_pending("main")
    return decision


def sign_in(membership: Membership, address: str = ATTACKER) -> Client:
    """A real sign-in by the portal's form, from an address that the front names."""
    client = Client(headers={"X-Beffroi-Listener": "portal", "X-Forwarded-For": address})
    answer = client.post("/connexion/", {"login": membership.person.email, "password": PASSWORD})
    assert answer.status_code == 302
    return client


def open_for(commune: Commune, kind: Kind = Kind.COMMAND_SERVER, **changes: Any) -> Incident:
    return actions.open_incident(
        actor=actions.SYSTEM,
        kind=kind,
        collectivite_id=commune.id,
        subject=changes.pop("subject", "test"),
        occurred_at=clock.now() - timedelta(days=2),
        evidence=[
            Captured(
                "box_look_back", clock.now() - timedelta(days=2), {"commune": commune.domain, "count": 41}
            )
        ],
        data={"count": 41, "days": 3, "value": "185.203.116.9"},
        **changes,
    )


def told(decision: Decision) -> dict[str, object]:
    """What boxes/consumers.py makes of a boîtier's answer."""
    now = clock.epoch_s()
    return {
        "box_id": "box_x",
        "fact_id": "box_x:1",
        "entry_id": decision.id,
        "indicator_kind": decision.kind,
        "indicator_value": decision.value,
        "count": 41,
        "days": 3,
        "first_at": now - 9 * 86400,
        "last_at": now - 3600,
    }


def looked_back(commune: Commune, decision: Decision, **changes: object) -> None:
    with transaction.atomic():
        outbox.publish("box:looked_back", told(decision) | changes, collectivite_id=commune.id)
    run_pending("main")


def alarm(commune: Commune, detector: str, **evidence: str) -> None:
    with transaction.atomic():
        outbox.publish(
            "box:alarm",
            {"box_id": "box_x", "detector": detector, "seen_at": clock.epoch_s(), "evidence": evidence},
            collectivite_id=commune.id,
        )
    run_pending("main")


def codes(incident: Incident) -> list[str]:
    return [one.code for one in queries.entries(incident)]
