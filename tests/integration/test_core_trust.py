"""Local exceptions, never again, appeals and stages on the database: what the feed is told, and who may do what."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from beffroi.boxes.models import Box
from beffroi.core.audit.models import AuditEntry
from beffroi.core.communes.models import Collectivite
from beffroi.core.decisions import actions, appeals, exceptions, lists, never_again, queries, staging
from beffroi.core.decisions.actions import ProtectedIndicator
from beffroi.core.decisions.exceptions import ExceptionRefused
from beffroi.core.decisions.models import Decision, IndicatorList, LocalException, NeverAgain
from beffroi.core.events import outbox
from beffroi.core.events.models import OutboxEvent
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, Invalid, NotAllowed, NotFound
from beffroi.mail.models import Mailbox
from beffroi.stream.store import Event, channel_events
from beffroi_protocol.indicators import Indicator, normalise
from django.db import transaction

from tests.conftest import Commune
from tests.fixtures_stages import every_hour, with_boxes

__all__ = ["every_hour"]

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
            key = (change.scope, change.decision_id)  # type: ignore[union-attr]
            state.pop(key, None)
            if (entry := change.entry) is not None:  # type: ignore[union-attr]
                state[key] = entry.action.value
    return state


# -- exceptions --------------------------------------------------------------------------------------------


def test_an_exception_travels_to_its_commune_alone_and_ends_by_itself(system: Actor, beaune: Commune) -> None:
    decision = decide(system)
    made = allow(beaune, decision_id=decision.id)
    assert feed() == {("all", decision.id): "block", (beaune.id, made.id): "allow"}
    told = OutboxEvent.objects.get(kind="exception:allowed")
    assert told.collectivite_id == beaune.id
    assert AuditEntry.objects.get(verb="exception:allowed").collectivite_id == beaune.id
    with clock.shifted(3601):
        assert exceptions.expire_due() == 1
    assert feed() == {("all", decision.id): "block"}


def test_a_person_ends_an_exception_of_their_own_commune_only(
    system: Actor, beaune: Commune, nuits: Commune
) -> None:
    decide(system)
    made = allow(beaune)
    with pytest.raises(NotFound):
        exceptions.end(actor=nuits.agent, exception_id=made.id)
    with pytest.raises(NotFound):
        allow(beaune, actor=nuits.agent)
    assert list(queries.visible_exceptions(nuits.agent)) == []
    assert exceptions.end(actor=beaune.colleague, exception_id=made.id)
    assert not exceptions.end(actor=beaune.colleague, exception_id=made.id)


@pytest.mark.parametrize(
    ("attack", "asked", "why"),
    [
        ((SITE, {"detectors": ["box_beacon"]}), SITE, "command_server"),
        ((SITE, {"detectors": ["box_beacon"]}), normalise("domain", "c2.fournitures-bureau.com"), "command_server"),
        ((SITE, {"communes": 2}), SITE, "seen_by_several"),
        ((normalise("cidr", "51.15.0.0/24"), {"communes": 2}), normalise("ip", "51.15.0.9"), "seen_by_several"),
        ((SITE, {}), normalise("cidr", "51.15.0.0/24"), "range"),
    ],
)  # fmt: skip
def test_a_person_may_not_let_through_what_is_an_attack(
    system: Actor,
    beaune: Commune,
    attack: tuple[Indicator, dict[str, object]],
    asked: Indicator,
    why: str,
) -> None:
    decide(system, attack[0], evidence=attack[1])
    with pytest.raises(ExceptionRefused, match=why):
        allow(beaune, asked)
    assert not LocalException.objects.exists()


def test_the_departement_may_for_longer_but_never_a_command_server(
    administrator: Actor, system: Actor, beaune: Commune
) -> None:
    decide(system, evidence={"communes": 2})
    made = allow(beaune, actor=administrator, ttl_s=30 * 86400)
    assert made.by_departement
    other = normalise("domain", "c2-panel.com")
    decide(system, other, reason="command_server")
    with pytest.raises(ExceptionRefused, match="command_server"):
        allow(beaune, other, actor=administrator)


@pytest.mark.parametrize(
    "changes", [{"ttl_s": 3601}, {"ttl_s": 0}, {"reason": " "}, {"reason": "x" * 501}], ids=str
)
def test_an_exception_is_short_and_has_a_reason(
    system: Actor, beaune: Commune, changes: dict[str, Any]
) -> None:
    decide(system)
    with pytest.raises(Invalid):
        allow(beaune, **changes)


def test_one_commune_cannot_open_everything(system: Actor, beaune: Commune) -> None:
    for number in range(50):
        allow(beaune, normalise("domain", f"site{number}.example.net"))
    with pytest.raises(Conflict):
        allow(beaune, normalise("domain", "one-more.example.net"))
    again = allow(beaune, normalise("domain", "site7.example.net"))
    assert LocalException.objects.filter(value=again.value).count() == 1


def test_an_attack_closes_what_a_person_had_opened_not_what_the_departement_did(
    administrator: Actor, system: Actor, beaune: Commune, nuits: Commune
) -> None:
    own = allow(beaune, normalise("domain", "www.fournitures-bureau.com"))
    kept = allow(nuits, actor=administrator)
    decision = decide(system, evidence={"communes": 2}, rule="two_communes")
    assert feed() == {("all", decision.id): "block", (nuits.id, kept.id): "allow"}
    own.refresh_from_db()
    assert own.state == "ended"


# -- never again -------------------------------------------------------------------------------------------


def test_never_again_ends_every_decision_it_touches_and_forbids_new_ones(
    administrator: Actor, system: Actor
) -> None:
    name, sub = decide(system), decide(system, normalise("domain", "cdn.fournitures-bureau.com"))
    other = decide(system, normalise("domain", "not-fournitures-bureau.com"))
    row = never_again.never_again(actor=administrator, indicator=SITE, reason="fournisseur de 40 communes")
    assert feed() == {("all", other.id): "block", ("all", row.id): "allow"}
    for decision in (name, sub):
        decision.refresh_from_db()
        assert (decision.state, decision.end_reason) == ("revoked", "never_again")
    for value in ("fournitures-bureau.com", "www.fournitures-bureau.com"):
        with pytest.raises(ProtectedIndicator):
            decide(administrator, normalise("domain", value))
    assert never_again.take_back(actor=administrator, never_again_id=row.id, reason="rachetée par un escroc")
    assert feed() == {("all", other.id): "block"}
    assert decide(system).state == "active"
    verbs = AuditEntry.objects.filter(verb__startswith="never_again:").order_by("id")
    assert [v.verb for v in verbs] == ["never_again:set", "never_again:taken_back"]


def test_never_again_of_an_address_spares_its_range_too(administrator: Actor, system: Actor) -> None:
    never_again.never_again(actor=administrator, indicator=normalise("ip", "51.15.0.9"), reason="mairie")
    with pytest.raises(ProtectedIndicator):
        decide(system, normalise("cidr", "51.15.0.0/24"))
    assert decide(system, normalise("ip", "51.15.0.8")).state == "active"


def test_never_again_ends_when_its_time_is_over(administrator: Actor, system: Actor) -> None:
    row = never_again.never_again(actor=administrator, indicator=SITE, reason="essai", ttl_s=60)
    assert never_again.expire_due() == 0 and feed() == {("all", row.id): "allow"}
    with clock.shifted(61):
        assert decide(system).state == "active"
        assert never_again.expire_due() == 1
    assert ("all", row.id) not in feed()
    row.refresh_from_db()
    assert (row.revoked_by, row.revoke_reason) == ("decisions.expiry", "ttl")


@pytest.mark.parametrize("wide", [("cidr", "51.0.0.0/23"), ("cidr", "2a0e::/47"), ("domain", "co.uk")])
def test_never_again_opens_no_whole_range_or_suffix(administrator: Actor, wide: tuple[str, str]) -> None:
    with pytest.raises(Invalid):
        never_again.never_again(actor=administrator, indicator=normalise(*wide), reason="trop")
    assert feed() == {}


def test_never_again_is_the_departements_word_alone(beaune: Commune, system: Actor) -> None:
    for actor in (beaune.referent, system):
        with pytest.raises(NotAllowed):
            never_again.never_again(actor=actor, indicator=SITE, reason="x")
    assert list(queries.never_again_entries(beaune.referent)) == []


def test_bulk_lists_keep_what_is_never_blocked_again_and_the_feed_lets_it_pass(
    administrator: Actor, database: str
) -> None:
    values = ["cdn.fournitures-bureau.com", "fournitures-bureau.com", "malware-host.com"]

    def publish() -> IndicatorList:
        return lists.publish_list(
            actor=administrator, name="names", kind="domain", values=values, source="test", licence="CC0"
        ).row

    before = publish().sha256
    row = never_again.never_again(actor=administrator, indicator=SITE, reason="fournisseur")
    run_pending("main")
    values.append("another.example.net")
    after = publish()
    assert (IndicatorList.objects.get(name="names").count, after.sha256 != before) == (4, True)
    told = OutboxEvent.objects.get(kind="never_again:set")
    (change,) = channel_events(Event(told.id, told.kind, None, json.loads(told.payload)))
    assert (change.scope, change.kind) == ("all", "domain")
    entry = change.entry  # type: ignore[union-attr]
    assert (entry.id, entry.indicator, entry.action, entry.reason) == (row.id, SITE, "allow", "never_again")  # type: ignore[union-attr]


# -- appeals -----------------------------------------------------------------------------------------------


def test_an_appeal_is_answered_and_accepted_it_ends_the_decision_everywhere(
    administrator: Actor, system: Actor, beaune: Commune, nuits: Commune
) -> None:
    decision = decide(system)
    made = appeals.appeal(actor=beaune.agent, decision_id=decision.id, text="C’est notre fournisseur.")
    assert appeals.appeal(actor=beaune.colleague, decision_id=decision.id, text="Idem.").id == made.id
    also = appeals.appeal(actor=nuits.agent, decision_id=decision.id, text="Le nôtre aussi.")
    assert list(queries.visible_appeals(nuits.agent)) == [also]
    with pytest.raises(NotFound):
        appeals.answer(actor=nuits.agent, appeal_id=made.id, accept=True, text="oui")
    with pytest.raises(NotAllowed):
        appeals.answer(actor=beaune.agent, appeal_id=made.id, accept=True, text="oui")
    appeals.answer(actor=administrator, appeal_id=made.id, accept=True, text="Merci, c’était une erreur.")
    decision.refresh_from_db()
    also.refresh_from_db()
    assert (decision.state, also.state) == ("revoked", "accepted")
    with pytest.raises(Conflict):
        appeals.answer(actor=administrator, appeal_id=also.id, accept=False, text="non")
    told = [(e.kind, e.collectivite_id) for e in OutboxEvent.objects.filter(kind__startswith="appeal:")]
    assert ("appeal:accepted", nuits.id) in told
    assert not OutboxEvent.objects.filter(payload__contains="fournisseur.").exists()


def test_what_does_not_apply_to_a_commune_cannot_be_contested_by_it(
    system: Actor, beaune: Commune, nuits: Commune
) -> None:
    local = decide(system, scope=nuits.id)
    weak = decide(system, normalise("domain", "weak.example.net"), strength="weak")
    for decision in (local, weak):
        with pytest.raises(NotFound):
            appeals.appeal(actor=beaune.agent, decision_id=decision.id, text="non")


# -- stages ------------------------------------------------------------------------------------------------


@pytest.fixture
def town_halls(database: str, every_hour: None) -> list[str]:
    made = [
        Collectivite.objects.create(kind="commune", name=f"Commune {n}", enrolled_at=clock.now())
        for n in range(40)
    ]
    with_boxes(one.id for one in made)
    return sorted(one.id for one in made)


def later(**passed: float) -> Any:
    return clock.shifted(timedelta(**passed).total_seconds())


def test_weak_evidence_is_observed_then_blocked_by_a_few_then_by_all(
    system: Actor, town_halls: list[str]
) -> None:
    decision = decide(system, strength="weak")
    assert feed() == {("all", decision.id): "warn"}
    assert staging.tick() == 0
    with later(minutes=16):
        assert staging.tick() == 1
        decision.refresh_from_db()
        chosen = decision.canary_communes
        assert (decision.state, len(chosen)) == ("canary", 2)
        expected = {("all", decision.id): "warn"} | {(c, decision.id): "block" for c in chosen}
        assert feed() == expected
        assert staging.tick() == 0
    with later(minutes=50):
        assert staging.tick() == 1
        assert feed() == {("all", decision.id): "block"}


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
            assert staging.tick() == moved
            decision.refresh_from_db()
            assert decision.state == state
    with at("2027-03-15T08:40:00+01:00"):  # Monday: ten minutes of Friday and forty of today
        for one in made[:2]:
            _tell("box:flows_counted", one.id, entry_id=decision.id, count=5, direction="out")
        assert staging.tick() == 1
    decision.refresh_from_db()
    assert (decision.state, decision.review_reason) == ("review", "blast")


def test_only_communes_whose_box_is_heard_try_a_decision(
    system: Actor, town_halls: list[str], make_commune: Any
) -> None:
    decision = decide(system, strength="weak")
    Box.objects.update(last_seen_at=None)
    with later(minutes=16):
        assert staging.tick() == 0  # nobody could try it
        Box.objects.filter(collectivite_id=town_halls[3]).update(last_seen_at=clock.now())
        assert staging.tick() == 1
    decision.refresh_from_db()
    assert decision.canary_communes == [town_halls[3]]
    with later(minutes=60):
        assert staging.tick() == 0  # the canary fell silent
        Box.objects.filter(collectivite_id=town_halls[3]).update(last_seen_at=clock.now())
        assert staging.tick() == 1


@pytest.mark.usefixtures("every_hour")
def test_what_only_the_mail_door_knows_is_tried_where_there_are_mailboxes(
    system: Actor, beaune: Commune, nuits: Commune
) -> None:
    with_boxes([beaune.id])
    Mailbox.objects.create(collectivite_id=nuits.id, address="a@nuits.test", ready_at=clock.now())
    decision = decide(system, normalise("url", "https://lure.example.net/x"), strength="weak")
    with later(minutes=16):
        staging.tick()
    decision.refresh_from_db()
    assert decision.canary_communes == [nuits.id]


def test_what_communes_live_on_waits_for_a_person(
    administrator: Actor, system: Actor, town_halls: list[str]
) -> None:
    decision = decide(system, strength="weak")
    for owner in town_halls[:2]:
        _tell("box:looked_back", owner, entry_id=decision.id, count=40, days=12)
    assert staging.tick() == 1
    assert feed() == {}
    (waiting,) = queries.review_queue(administrator)
    assert (waiting.id, waiting.review_reason) == (decision.id, "over_budget")
    assert decide(system, strength="strong", evidence={"communes": 2}).state == "review"
    staging.approve(actor=administrator, decision=waiting)
    assert feed() == {("all", decision.id): "block"}
    assert (waiting.rule, staging.tick()) == ("departement", 0)


@pytest.mark.usefixtures("every_hour")
def test_a_canary_that_objects_stops_it_everywhere(system: Actor, beaune: Commune, nuits: Commune) -> None:
    with_boxes([beaune.id, nuits.id])
    decision = decide(system, strength="weak")
    with later(minutes=16):
        staging.tick()
        decision.refresh_from_db()
        own, other = (beaune, nuits) if decision.canary_communes == [beaune.id] else (nuits, beaune)
        with pytest.raises(NotFound):
            appeals.appeal(actor=other.agent, decision_id=decision.id, text="?")
        allow(own, decision_id=decision.id)
        assert staging.tick() == 1
    decision.refresh_from_db()
    assert (decision.state, decision.review_reason) == ("review", "canary_objects")
    assert list(feed().values()) == ["allow"]


def test_a_block_that_hits_communes_is_withdrawn_and_told(system: Actor, town_halls: list[str]) -> None:
    decision = decide(system, strength="weak")
    with later(minutes=16):
        staging.tick()
    with later(minutes=50):
        staging.tick()
        for owner in town_halls[:2]:
            _tell("box:flows_counted", owner, entry_id=decision.id, count=5, direction="out")
        assert staging.tick() == 1
    decision.refresh_from_db()
    assert (decision.state, decision.review_reason) == ("review", "blast")
    assert feed() == {}
    assert AuditEntry.objects.filter(verb="decision:review", object_id=decision.id).exists()


def test_what_was_withdrawn_and_is_confirmed_goes_on_as_a_decision_of_its_own(
    administrator: Actor, system: Actor, town_halls: list[str]
) -> None:
    decision = decide(system, strength="weak")
    with later(minutes=16):
        staging.tick()
    with later(minutes=50):
        staging.tick()
        for owner in town_halls[:2]:
            _tell("box:flows_counted", owner, entry_id=decision.id, count=5, direction="out")
        staging.tick()
    first = decision.id
    decision.refresh_from_db()
    staging.approve(actor=administrator, decision=decision)
    assert decision.id != first
    assert feed() == {("all", decision.id): "block"}
    before = Decision.objects.get(pk=first)
    assert (before.state, before.end_reason) == ("revoked", "decided_anew")
    told = [
        json.loads(e.payload)["decision_id"] for e in OutboxEvent.objects.filter(kind="decision:activated")
    ]
    assert told == [first, decision.id]


def test_refused_flows_from_outside_are_no_reason_to_withdraw(system: Actor, town_halls: list[str]) -> None:
    decision = decide(system, normalise("ip", "51.15.0.9"), strength="weak")
    Decision.objects.update(state="active")
    for owner in town_halls:
        _tell("box:flows_counted", owner, entry_id=decision.id, count=500, direction="in")
    assert staging.tick() == 0


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


def test_never_again_rows_are_one_for_an_indicator(administrator: Actor, database: str) -> None:
    for reason in ("une", "deux"):
        never_again.never_again(actor=administrator, indicator=SITE, reason=reason)
    assert NeverAgain.objects.get().reason == "deux"
