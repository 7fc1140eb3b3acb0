"""From the boîtier's block page to an hour without a block: the token, the rights, what the Département sees."""

from __future__ import annotations

from typing import Any

import pytest
from beffroi.boxes.models import Box, BoxPolicy
from beffroi.core.audit.models import AuditEntry
from beffroi.core.decisions import actions, lists
from beffroi.core.decisions.models import Appeal, Decision, LocalException
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi_protocol.indicators import Indicator, normalise
from beffroi_protocol.messages import Policy
from beffroi_protocol.signing import b64, fingerprint, public_bytes
from beffroi_protocol.unlock import LIFE_S, Unlock, make_token
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.test import Client
from msgspec import to_builtins

from tests.conftest import Commune
from tests.fixtures_portal import no_door, portal_client, text

__all__ = ["no_door"]
ADDRESS = "45.83.64.7"
KEY = Ed25519PrivateKey.generate()
pytestmark = pytest.mark.django_db


def box_of(collectivite_id: str, key: Ed25519PrivateKey = KEY) -> Box:
    public = public_bytes(key)
    return Box.objects.create(
        collectivite_id=collectivite_id,
        serial="BF-1",
        public_key=b64(public),
        fingerprint=fingerprint(public),
        state=Box.State.ACTIVE,
    )


def decide(actor: Actor, **changes: Any) -> Decision:
    values: dict[str, Any] = {
        "indicator": normalise("ip", ADDRESS),
        "action": "block",
        "reason": "lone_source",
        "evidence": {"communes": 0},
        "rule": "lone_source",
        "ttl_s": 86400,
    }
    return actions.activate(actor=actor, **(values | changes))


def token(
    box: Box, entry_id: str, *, value: Indicator | None = None, ago_s: int = 0, key: Ed25519PrivateKey = KEY
) -> str:
    indicator = value or normalise("ip", ADDRESS)
    return make_token(key, Unlock(1, box.id, entry_id, indicator, clock.epoch_s() - ago_s))


@pytest.fixture
def agent(beaune: Commune, no_door: None) -> Client:
    return portal_client(beaune.agent_membership)


def test_a_person_reads_opens_for_an_hour_and_the_departement_gets_an_appeal(
    agent: Client, beaune: Commune, system: Actor
) -> None:
    decision, box = decide(system), box_of(beaune.id)
    jeton = token(box, decision.id)
    page = text(agent.get("/debloquer/", {"jeton": jeton}))
    assert f"Débloquer {ADDRESS}\xa0?" in page and "Pendant 60 minutes" in page
    wrong = text(agent.post("/debloquer/", {"jeton": jeton, "text": " "}), 400)
    assert 'aria-describedby="id_text_hint id_text_error" aria-invalid="true"' in wrong
    assert not LocalException.objects.exists() and not Appeal.objects.exists()
    answer = agent.post("/debloquer/", {"jeton": jeton, "text": "Notre fournisseur."})
    assert answer.status_code == 302
    made, appeal = LocalException.objects.get(), Appeal.objects.get()
    assert (made.collectivite_id, made.value, made.decision_id) == (beaune.id, ADDRESS, decision.id)
    assert (made.expires_at - clock.now()).total_seconds() <= 3600
    assert (appeal.decision_id, appeal.text) == (decision.id, "Notre fournisseur.")
    done = text(agent.get(answer.headers["Location"]))
    assert (
        done.index(f"{ADDRESS} est débloqué chez vous</h1>")
        < done.index("data-outcome")
        < done.index("Motif")
    )
    assert f"Débloquer {ADDRESS}" not in done and "bloque cette adresse" not in done
    verbs = set(AuditEntry.objects.values_list("verb", flat=True))
    assert {"exception:allowed", "appeal:made"} <= verbs


def test_an_address_of_a_list_is_opened_without_a_decision(agent: Client, beaune: Commune) -> None:
    jeton = token(box_of(beaune.id), "feodo")
    assert "«\xa0feodo\xa0»" in text(agent.get("/debloquer/", {"jeton": jeton}))
    agent.post("/debloquer/", {"jeton": jeton, "text": "Notre fournisseur."})
    assert LocalException.objects.get().reason == "Notre fournisseur." and not Appeal.objects.exists()


def test_an_entry_of_a_list_is_opened_and_contested_at_once(agent: Client, beaune: Commune) -> None:
    publish("scanner")
    jeton = token(box_of(beaune.id), "feodo")
    page = text(agent.get("/debloquer/", {"jeton": jeton}))
    assert "Le Département reçoit votre contestation" in page and f"/blocages/pourquoi/?q={ADDRESS}" in page
    agent.post("/debloquer/", {"jeton": jeton, "text": "Notre fournisseur."})
    assert LocalException.objects.get().value == ADDRESS
    assert Appeal.objects.get().indicator == normalise("ip", ADDRESS)


def test_a_command_server_of_a_list_is_only_contested(agent: Client, beaune: Commune) -> None:
    publish("command_server")
    jeton = token(box_of(beaune.id), "feodo")
    page = text(agent.get("/debloquer/", {"jeton": jeton}))
    assert "Débloquer et signaler" not in page and f"/blocages/pourquoi/?q={ADDRESS}" in page
    answer = agent.post("/debloquer/", {"jeton": jeton, "text": "urgent"})
    assert "seul le Département peut la débloquer" in text(answer, 400)
    assert not LocalException.objects.exists() and not Appeal.objects.exists()


def publish(threat: str) -> None:
    lists.publish_list(
        actor=Actor.system("tests"),
        name="feodo",
        kind="ip",
        values=[ADDRESS],
        source="abuse.ch",
        licence="CC0",
        threat=threat,
    )


@pytest.mark.parametrize(("evidence", "reason"), [({}, "command_server"), ({"communes": 2}, "two_communes")])
def test_command_servers_and_recognised_attacks_stay_blocked(
    agent: Client, beaune: Commune, system: Actor, evidence: dict[str, object], reason: str
) -> None:
    decision = decide(system, reason=reason, evidence=evidence)
    page = text(agent.get("/debloquer/", {"jeton": token(box_of(beaune.id), decision.id)}))
    assert "Débloquer et signaler" not in page and f'href="/blocages/{decision.id}/">Contester' in page
    answer = agent.post("/debloquer/", {"jeton": token(box_of(beaune.id), decision.id), "text": "urgent"})
    assert "seul le Département peut la débloquer" in text(answer, 400)
    assert not LocalException.objects.exists()


def test_a_policy_without_unlocking_refuses(agent: Client, beaune: Commune, system: Actor) -> None:
    policy = to_builtins(Policy(unlock=False))
    BoxPolicy.objects.create(collectivite_id=beaune.id, policy_version=1, policy=policy, changed_by="x")
    jeton = token(box_of(beaune.id), decide(system).id)
    assert "Appelez le Département" in text(agent.get("/debloquer/", {"jeton": jeton}))
    assert agent.post("/debloquer/", {"jeton": jeton, "text": "x"}).status_code == 403
    assert not LocalException.objects.exists()


def test_the_box_of_another_commune_is_no_such_page(agent: Client, nuits: Commune, system: Actor) -> None:
    jeton = token(box_of(nuits.id), decide(system).id)
    assert agent.get("/debloquer/", {"jeton": jeton}).status_code == 404
    assert agent.post("/debloquer/", {"jeton": jeton, "text": "x"}).status_code == 404
    assert not LocalException.objects.exists()


def test_old_forged_and_broken_tokens_open_nothing(agent: Client, beaune: Commune, system: Actor) -> None:
    decision, box = decide(system), box_of(beaune.id)
    stranger = Ed25519PrivateKey.generate()
    good = token(box, decision.id)
    cases = {
        token(box, decision.id, ago_s=LIFE_S + 5): 409,
        token(box, decision.id, ago_s=-3600): 409,
        token(box, decision.id, key=stranger): 409,
        good[:-2] + ("AA" if not good.endswith("AA") else "BA"): 409,
        "": 404,
        "a.b": 404,
        "é" * 3000: 404,
        token(box, decision.id, value=Indicator(normalise("ip", ADDRESS).kind, "999.1")): 404,
    }
    for jeton, status in cases.items():
        found = agent.post("/debloquer/", {"jeton": jeton, "text": "x"}).status_code
        assert found in (status, 404), (jeton[:40], found)
    Box.objects.update(state=Box.State.REVOKED)
    assert agent.get("/debloquer/", {"jeton": good}).status_code == 404
    assert not LocalException.objects.exists()


def test_who_is_not_signed_in_signs_in_first_and_comes_back(beaune: Commune, system: Actor) -> None:
    jeton = token(box_of(beaune.id), decide(system).id)
    answer = Client().get("/debloquer/", {"jeton": jeton})
    assert answer.status_code == 302 and "connexion" in answer.headers["Location"]
    assert "debloquer" in answer.headers["Location"] and jeton in answer.headers["Location"]
