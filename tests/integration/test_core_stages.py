"""Stages of a decision on the database: observed, tried by a few, in force for all, withdrawn."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest
from beffroi.boxes.models import Box
from beffroi.core.audit.models import AuditEntry
from beffroi.core.communes.models import Collectivite
from beffroi.core.decisions import actions, appeals, queries, staging
from beffroi.core.decisions.models import Decision
from beffroi.core.events import outbox
from beffroi.core.events.models import OutboxEvent
from beffroi.core.events.running import run_pending, whole
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import NotAllowed, NotFound
from beffroi.mail.models import Mailbox
from beffroi_protocol.indicators import normalise
from django.db import transaction

from tests.conftest import Commune
from tests.fixtures_stages import every_hour, later, town_halls, with_boxes
from tests.fixtures_trust import allow, decide, feed

__all__ = ["every_hour", "town_halls"]


def test_weak_evidence_is_observed_then_blocked_by_a_few_then_by_all(
    system: Actor, town_halls: list[str]
) -> None:
    decision = decide(system, strength="weak")
    assert feed() == {("all", decision.id): "warn"}
    assert whole(staging.tick()) == 0
    with later(minutes=16):
        assert whole(staging.tick()) == 1
        decision.refresh_from_db()
        chosen = decision.canary_communes
        assert (decision.state, len(chosen)) == ("canary", 2)
        expected = {("all", decision.id): "warn"} | {(c, decision.id): "block" for c in chosen}
        assert feed() == expected
        assert whole(staging.tick()) == 0
    with later(minutes=50):
        assert whole(staging.tick()) == 1
        assert feed() == {("all", decision.id): "block"}


def test_what_goes_on_together_goes_on_one_by_one(system: Actor, town_halls: list[str]) -> None:
    """Others of the lane have their turn between two, or a sighting waits for all of them."""
    for number in range(3):
        decide(system, normalise("domain", f"site-{number}.example.net"), strength="weak")
    with later(minutes=16):
        moved = [Decision.objects.filter(state="canary").count() for _ in staging.tick()]
    assert moved[:3] == [1, 2, 3]


def at(moment: str) -> Any:
    return clock.shifted((datetime.fromisoformat(moment) - clock.now()).total_seconds())


def test_a_name_of_the_night_is_tried_while_people_work(system: Actor, database: str) -> None:
    """Friday, two in the morning: observed for 15 working minutes, a canary for 30, watched for an hour more."""
    with at("2027-03-12T02:00:00+01:00"):
        made = [Collectivite.objects.create(kind="commune", name=f"Commune {n}") for n in range(30)]
        with_boxes(one.id for one in made)
        decision = decide(system, strength="weak")
        strong = decide(system, normalise("domain", "strong.example.net"))
        assert strong.state == "active"
    for moment, moved, state in (
        ("2027-03-12T07:59:00+01:00", 0, "observed"),
        ("2027-03-12T08:14:00+01:00", 0, "observed"),
        ("2027-03-12T08:16:00+01:00", 1, "canary"),
        ("2027-03-12T08:45:00+01:00", 0, "canary"),
        ("2027-03-12T17:50:00+01:00", 1, "active"),
    ):
        with at(moment):
            assert whole(staging.tick()) == moved
            decision.refresh_from_db()
            assert decision.state == state
    with at("2027-03-15T08:40:00+01:00"):  # Monday: ten minutes of Friday and forty of today
        for one in made[:2]:
            _tell("box:flows_counted", one.id, entry_id=decision.id, count=5, direction="out")
        assert whole(staging.tick()) == 1
    decision.refresh_from_db()
    assert (decision.state, decision.review_reason) == ("review", "blast")


def test_only_communes_whose_box_is_heard_try_a_decision(
    system: Actor, town_halls: list[str], make_commune: Any
) -> None:
    decision = decide(system, strength="weak")
    Box.objects.update(last_seen_at=None)
    with later(minutes=16):
        assert whole(staging.tick()) == 0  # nobody could try it
        Box.objects.filter(collectivite_id=town_halls[3]).update(last_seen_at=clock.now())
        assert whole(staging.tick()) == 1
    decision.refresh_from_db()
    assert decision.canary_communes == [town_halls[3]]
    with later(minutes=60):
        assert whole(staging.tick()) == 0  # the canary fell silent
        Box.objects.filter(collectivite_id=town_halls[3]).update(last_seen_at=clock.now())
        assert whole(staging.tick()) == 1


@pytest.mark.usefixtures("every_hour")
def test_what_only_the_mail_door_knows_is_tried_where_there_are_mailboxes(
    system: Actor, beaune: Commune, nuits: Commune
) -> None:
    with_boxes([beaune.id])
    Mailbox.objects.create(collectivite_id=nuits.id, address="a@nuits.test", ready_at=clock.now())
    decision = decide(system, normalise("url", "https://lure.example.net/x"), strength="weak")
    with later(minutes=16):
        whole(staging.tick())
    decision.refresh_from_db()
    assert decision.canary_communes == [nuits.id]


def test_what_communes_live_on_waits_for_a_person(
    administrator: Actor, system: Actor, town_halls: list[str]
) -> None:
    decision = decide(system, strength="weak")
    for owner in town_halls[:2]:
        _tell("box:looked_back", owner, entry_id=decision.id, count=40, days=12)
    assert whole(staging.tick()) == 1
    assert feed() == {}
    (waiting,) = queries.review_queue(administrator)
    assert (waiting.id, waiting.review_reason) == (decision.id, "over_budget")
    assert decide(system, strength="strong", evidence={"communes": 2}).state == "review"
    staging.approve(actor=administrator, decision=waiting)
    assert feed() == {("all", decision.id): "block"}
    assert (waiting.rule, whole(staging.tick())) == ("departement", 0)


@pytest.mark.usefixtures("every_hour")
def test_a_canary_that_objects_stops_it_everywhere(system: Actor, beaune: Commune, nuits: Commune) -> None:
    with_boxes([beaune.id, nuits.id])
    decision = decide(system, strength="weak")
    with later(minutes=16):
        whole(staging.tick())
        decision.refresh_from_db()
        own, other = (beaune, nuits) if decision.canary_communes == [beaune.id] else (nuits, beaune)
        with pytest.raises(NotFound):
            appeals.appeal(actor=other.agent, decision_id=decision.id, text="?")
        allow(own, decision_id=decision.id)
        assert whole(staging.tick()) == 1
    decision.refresh_from_db()
    assert (decision.state, decision.review_reason) == ("review", "canary_objects")
    assert list(feed().values()) == ["allow"]


def test_a_block_that_hits_communes_is_withdrawn_and_told(system: Actor, town_halls: list[str]) -> None:
    decision = decide(system, strength="weak")
    with later(minutes=16):
        whole(staging.tick())
    with later(minutes=50):
        whole(staging.tick())
        for owner in town_halls[:2]:
            _tell("box:flows_counted", owner, entry_id=decision.id, count=5, direction="out")
        assert whole(staging.tick()) == 1
    decision.refresh_from_db()
    assert (decision.state, decision.review_reason) == ("review", "blast")
    assert feed() == {}
    assert AuditEntry.objects.filter(verb="decision:review", object_id=decision.id).exists()


@pytest.mark.parametrize("set_back_s", [0, 30 * 86400])
def test_what_was_withdrawn_and_is_confirmed_goes_on_as_a_decision_of_its_own(
    administrator: Actor, system: Actor, town_halls: list[str], set_back_s: int
) -> None:
    decision = decide(system, strength="weak")
    with later(minutes=16):
        whole(staging.tick())
    with later(minutes=50):
        whole(staging.tick())
        for owner in town_halls[:2]:
            _tell("box:flows_counted", owner, entry_id=decision.id, count=5, direction="out")
        whole(staging.tick())
    first = decision.id
    decision.refresh_from_db()
    with later(seconds=-set_back_s):
        staging.approve(actor=administrator, decision=decision)
    assert decision.id != first
    assert feed() == {("all", decision.id): "block"}
    before = Decision.objects.get(pk=first)
    assert queries.goes_on_as(before) == decision
    assert (before.state, before.end_reason) == ("revoked", "decided_anew")
    told = [
        json.loads(e.payload)["decision_id"]
        for e in OutboxEvent.objects.filter(kind="decision:activated").order_by("pk")
    ]
    assert told == [first, decision.id]


def test_refused_flows_from_outside_are_no_reason_to_withdraw(system: Actor, town_halls: list[str]) -> None:
    decision = decide(system, normalise("ip", "51.15.0.9"), strength="weak")
    Decision.objects.update(state="active")
    for owner in town_halls:
        _tell("box:flows_counted", owner, entry_id=decision.id, count=500, direction="in")
    assert whole(staging.tick()) == 0


def test_strong_evidence_puts_an_observed_decision_in_force_at_once(system: Actor, database: str) -> None:
    weak = decide(system, strength="weak")
    strong = decide(system, rule="two_communes", evidence={"communes": 2})
    assert (strong.id, strong.state, strong.rule) == (weak.id, "active", "two_communes")
    assert feed() == {("all", weak.id): "block"}


def test_an_observed_decision_ends_by_itself_and_can_be_taken_back(
    administrator: Actor, system: Actor
) -> None:
    weak = decide(system, strength="weak", ttl_s=100)
    with later(seconds=101):
        assert actions.expire_due() == 1
    assert feed() == {}
    second = decide(system, strength="weak")
    assert actions.revoke(actor=administrator, decision=second, reason="harmless")
    assert (feed(), weak.id != second.id) == ({}, True)


def test_a_suspicion_that_was_dismissed_is_told_to_no_commune(
    administrator: Actor, system: Actor, beaune: Commune
) -> None:
    weak = decide(system, strength="weak")
    actions.revoke(actor=administrator, decision=weak, reason="harmless")
    strong = decide(system)
    actions.revoke(actor=administrator, decision=strong, reason="undone")
    assert list(queries.visible_decisions(beaune.agent)) == [strong]


def test_only_the_departement_puts_in_force(system: Actor, beaune: Commune) -> None:
    weak = decide(system, strength="weak")
    for actor in (system, beaune.referent):
        with pytest.raises(NotAllowed):
            staging.approve(actor=actor, decision=weak)
    assert list(queries.review_queue(beaune.referent)) == list(queries.staged(beaune.referent)) == []


def _tell(kind: str, owner: str, **payload: object) -> None:
    with transaction.atomic():
        outbox.publish(kind, payload, collectivite_id=owner)
    run_pending("main")
