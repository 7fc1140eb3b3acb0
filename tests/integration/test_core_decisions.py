"""Life of a decision: who may make one, what it must never be about, how it ends."""

from __future__ import annotations

import json
from typing import Any

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.communes import actions as communes
from beffroi.core.decisions import actions, consumers, never_again, queries
from beffroi.core.decisions.models import ENDS_AT_ONCE, Decision
from beffroi.core.events import outbox
from beffroi.core.events.models import OutboxEvent
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import Invalid, NotAllowed, NotFound
from beffroi.lib.ids import new_id
from beffroi_protocol.indicators import Indicator, Kind, normalise

LURE = normalise("domain", "colis-relais.example.net")

pytestmark = pytest.mark.usefixtures("database")


def activate(actor: Actor, indicator: Indicator = LURE, **changes: Any) -> Decision:
    values: dict[str, Any] = {
        "action": "block",
        "scope": "all",
        "reason": "phishing",
        "evidence": {"communes": 2},
        "rule": "two_communes",
        "ttl_s": 3600,
    }
    return actions.activate(actor=actor, indicator=indicator, **(values | changes))


def events(kind: str) -> list[dict[str, Any]]:
    return [json.loads(row.payload) for row in OutboxEvent.objects.filter(kind=kind).order_by("id")]


def test_what_another_person_says_never_again_about_at_the_same_moment_is_not_decided(
    administrator: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    serialise = outbox.serialise

    def meanwhile() -> None:
        monkeypatch.setattr(outbox, "serialise", serialise)
        never_again.never_again(actor=administrator, indicator=LURE, reason="notre fournisseur")

    monkeypatch.setattr(outbox, "serialise", meanwhile)
    with pytest.raises(actions.ProtectedIndicator):
        activate(administrator)
    assert not Decision.objects.exists()


def test_activated_decision_is_told_to_the_doors_and_to_the_audit_log(administrator: Actor) -> None:
    decision = activate(administrator, campaign_id="cmp_1")

    assert decision.state == "active"
    assert events("decision:activated") == [
        {
            "decision_id": decision.id,
            "kind": "domain",
            "value": "colis-relais.example.net",
            "action": "block",
            "scope": "all",
            "reason": "phishing",
            "state": "active",
            "expires_at": int(decision.expires_at.timestamp()) if decision.expires_at else 0,
            "campaign_id": "cmp_1",
        }
    ]
    entry = AuditEntry.objects.get(object_id=decision.id)
    assert (entry.verb, entry.actor_id) == ("decision:activated", administrator.id)


def test_second_activation_returns_the_active_decision_and_tells_nobody(system: Actor) -> None:
    first = activate(system)
    assert activate(system, normalise("domain", "COLIS-relais.example.NET.")).id == first.id
    assert len(events("decision:activated")) == 1


def test_revoked_decision_can_be_made_again(system: Actor) -> None:
    first = activate(system)
    assert actions.revoke(actor=system, decision=first, reason="false_report")
    assert not actions.revoke(actor=system, decision=first, reason="false_report")
    assert (first.state, first.end_reason) == ("revoked", "false_report")
    assert activate(system).id != first.id
    assert [event["decision_id"] for event in events("decision:ended")] == [first.id]


def test_decision_expires_by_itself_when_its_time_is_over(system: Actor) -> None:
    decision = activate(system, ttl_s=60)
    assert actions.expire_due() == 0
    with clock.shifted(61):
        assert actions.expire_due() == 1
        assert actions.expire_due() == 0
    decision.refresh_from_db()
    assert (decision.state, decision.end_reason) == ("expired", "ttl")


def test_thousands_whose_time_is_over_together_end_a_few_at_a_time(system: Actor) -> None:
    """500 in one transaction held up each decision that came meanwhile by two seconds."""
    for number in range(2 * ENDS_AT_ONCE + 1):
        activate(system, normalise("domain", f"site-{number}.example.net"), ttl_s=60)
    with clock.shifted(61):
        ended = [len(events("decision:ended")) for _ in consumers.expire()]
    assert ended == [ENDS_AT_ONCE, 2 * ENDS_AT_ONCE, 2 * ENDS_AT_ONCE + 1]


def test_what_its_time_ended_can_be_taken_back_singly_and_with_its_campaign(system: Actor) -> None:
    single, campaign = activate(system, ttl_s=60), new_id("cmp")
    several = [
        activate(system, normalise("domain", name), ttl_s=60, campaign_id=campaign)
        for name in ("a.example.net", "b.example.net")
    ]
    with clock.shifted(61):
        assert actions.expire_due() == 3
        assert actions.revoke(actor=system, decision=single, reason="undone")
        assert actions.revoke_campaign(actor=system, campaign_id=campaign, reason="undone") == 2
        assert actions.revoke_campaign(actor=system, campaign_id=campaign, reason="undone") == 0
    assert len(events("decision:ended")) == len(events("decision:taken_back")) == 3
    assert set(Decision.objects.values_list("state", "end_reason")) == {("revoked", "undone")}
    assert {one.id for one in (single, *several)} == {e["decision_id"] for e in events("decision:taken_back")}


def test_never_again_takes_back_what_its_time_ended_too(system: Actor) -> None:
    decision = activate(system, ttl_s=60)
    with clock.shifted(61):
        actions.expire_due()
        never_again.never_again(actor=Actor("administrator", "adm_1"), indicator=LURE, reason="our own site")
    decision.refresh_from_db()
    assert decision.state == "revoked"
    assert [one["decision_id"] for one in events("decision:taken_back")] == [decision.id]


def test_decision_past_its_time_is_replaced_before_the_timer_came(system: Actor) -> None:
    first = activate(system, ttl_s=60)
    with clock.shifted(61):
        second = activate(system)
    assert second.id != first.id
    first.refresh_from_db()
    assert first.state == "expired"


def test_undo_of_a_campaign_ends_all_its_decisions_and_no_other(system: Actor) -> None:
    one = activate(system, campaign_id="cmp_1")
    two = activate(system, normalise("ip", "45.155.205.3"), campaign_id="cmp_1")
    other = activate(system, normalise("ip", "45.155.205.4"), campaign_id="cmp_2")
    assert actions.revoke_campaign(actor=system, campaign_id="cmp_1", reason="undo") == 2
    states = dict(Decision.objects.values_list("id", "state"))
    assert states == {one.id: "revoked", two.id: "revoked", other.id: "active"}
    with pytest.raises(Invalid):
        actions.revoke_campaign(actor=system, campaign_id="", reason="undo")


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("domain", "impots.gouv.fr"),
        ("domain", "gouv.fr"),
        ("url", "https://www.impots.gouv.fr/acces"),
        ("sender", "contact@impots.gouv.fr"),
        ("ip", "10.0.0.1"),
        ("ip", "::1"),
        ("ip", "9.9.9.9"),
        ("ip", "104.16.132.229"),
        ("cidr", "104.16.0.0/24"),
        ("cidr", "45.0.0.0/8"),
        ("domain", "credit-agricole.fr"),
        ("domain", "google.com"),
        ("domain", "co.uk"),
        ("domain", "beaune.test"),
        ("domain", "www.beaune.test"),
        ("sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("ip", "127.0.0.1"),
        ("domain", "mx.beffroi.test"),
    ],
)
@pytest.mark.usefixtures("beaune")
def test_protected_indicator_is_refused_even_to_an_administrator(
    administrator: Actor, kind: str, value: str
) -> None:
    with pytest.raises(actions.ProtectedIndicator):
        activate(administrator, normalise(kind, value))
    assert not Decision.objects.exists()
    assert not events("decision:activated")


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("domain", "evil.blogspot.com"),
        ("domain", "mairie-beaune.example.net"),
        ("ip", "45.155.205.3"),
        ("url", "https://docs.google.com/forms/d/abc"),
        ("sender", "facture@gmail.com"),
        ("domain", "impots-gouv.info"),
    ],
)
@pytest.mark.usefixtures("beaune")
def test_indicator_of_an_attacker_is_not_protected(system: Actor, kind: str, value: str) -> None:
    assert activate(system, normalise(kind, value)).state == "active"


def test_members_domain_is_protected_from_the_moment_it_is_bound(system: Actor, beaune: Any) -> None:
    site = normalise("domain", "ville-beaune.example.org")
    decision = activate(system, site)
    actions.revoke(actor=system, decision=decision, reason="undo")
    communes.add_domain(actor=system, collectivite=beaune.collectivite, name=site.value)
    with pytest.raises(actions.ProtectedIndicator):
        activate(system, site)


def test_nobody_of_a_commune_decides_or_revokes(beaune: Any, system: Actor) -> None:
    decision = activate(system)
    for actor in (beaune.agent, beaune.referent, Actor("box", "box_1", beaune.id)):
        with pytest.raises(NotAllowed):
            activate(actor, normalise("ip", "45.155.205.3"))
        with pytest.raises(NotAllowed):
            actions.revoke(actor=actor, decision=decision, reason="undo")


def test_decision_for_one_commune_does_not_exist_for_another(beaune: Any, nuits: Any, system: Actor) -> None:
    own = activate(system, scope=beaune.id)
    common = activate(system, normalise("ip", "45.155.205.3"))
    assert queries.access_decision(beaune.agent, own.id) == own
    assert queries.access_decision(nuits.agent, common.id) == common
    for decision_id in (own.id, "dec_absent"):
        with pytest.raises(NotFound) as refusal:
            queries.access_decision(nuits.agent, decision_id)
        assert str(refusal.value) == "There is no such decision, or it is not yours."
    assert list(queries.active_decisions(nuits.agent)) == [common]


def test_address_of_a_sender_stays_out_of_the_audit_chain(system: Actor) -> None:
    decision = activate(system, Indicator(Kind.SENDER, "jean.dupont@example.net"))
    assert "dupont" not in AuditEntry.objects.get(object_id=decision.id).details


def test_later_demand_extends_an_active_decision_and_an_earlier_end_changes_nothing(system: Actor) -> None:
    first = activate(system, ttl_s=3600)
    assert activate(system, ttl_s=60).expires_at == first.expires_at
    assert activate(system, ttl_s=3700).expires_at == first.expires_at  # not worth a batch
    longer = activate(system, ttl_s=7200)
    assert longer.id == first.id
    assert longer.expires_at is not None and first.expires_at is not None
    assert longer.expires_at > first.expires_at
    (told,) = events("decision:extended")
    assert (told["decision_id"], told["expires_at"]) == (first.id, int(longer.expires_at.timestamp()))


def test_what_touches_an_address_is_chosen_among_thousands_by_the_database(system: Actor) -> None:
    """Boxes have addresses blocked every minute; what their time ended is kept for a year, and may be taken back."""
    for value in ("185.203.116.7", "185.203.116.8", "185.203.117.7", "2a0b:0:0:1::7"):
        activate(system, normalise("ip", value))
    Decision.objects.update(state="expired")
    for asked, near in (
        (("ip", "185.203.116.7"), {"185.203.116.7"}),
        (("cidr", "185.203.116.0/24"), {"185.203.116.7", "185.203.116.8"}),
        (("cidr", "2a0b::/48"), {"2a0b:0:0:1::7"}),
    ):
        found = queries.near(queries.not_taken_back(), normalise(*asked))
        assert set(found.values_list("value", flat=True)) == near
