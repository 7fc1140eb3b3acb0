"""The life of a decision as a table: each state, each event; and what any order of events leaves at the doors.

Doors are asked three ways that must agree: the rows, a newcomer's snapshot, and the events in their order.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.communes.models import Collectivite
from beffroi.core.decisions import actions, exceptions, never_again, staging
from beffroi.core.decisions.actions import ProtectedIndicator
from beffroi.core.decisions.models import Decision, LocalException
from beffroi.core.events.models import OutboxEvent
from beffroi.core.events.running import whole
from beffroi.core.identity.actor import Actor
from beffroi.core.planes.db import Database
from beffroi.lib import clock
from beffroi.lib.errors import BeffroiError
from beffroi.stream.batches import ChannelEvent, DecisionEvent
from beffroi.stream.store import Event, Store, channel_events
from beffroi_protocol.indicators import Indicator, normalise
from beffroi_protocol.messages import Entry

from tests.conftest import Commune
from tests.fixtures_stages import every_hour, town_halls

__all__ = ["every_hour", "town_halls"]

SITE = normalise("domain", "fournitures-bureau.com")
TTL_S = 4 * 3600
Held = dict[tuple[str, str], Entry]


def decide(
    actor: Actor, *, strength: str = "strong", indicator: Indicator = SITE, **changes: object
) -> Decision:
    strong = strength == "strong"
    values: dict[str, object] = {
        "action": "block",
        "reason": "two_communes" if strong else "lone_source",
        "evidence": {"communes": 1 + strong, "detectors": ["dmarc_fail" if strong else "listed_name"]},
        "rule": "two_communes" if strong else "lone_source",
        "ttl_s": TTL_S,
    }  # fmt: skip
    return actions.activate(actor=actor, indicator=indicator, strength=strength, **(values | changes))  # type: ignore[arg-type]


# -- what doors hold ---------------------------------------------------------------------------------------


def _applied(changes: list[ChannelEvent]) -> Held:
    held: Held = {}
    for change in changes:
        assert isinstance(change, DecisionEvent)
        held.pop((change.scope, change.decision_id), None)
        if change.entry is not None:
            held[change.scope, change.decision_id] = change.entry
    return held


def deltas() -> Held:
    rows = OutboxEvent.objects.order_by("id")
    told = (channel_events(Event(r.id, r.kind, r.collectivite_id, json.loads(r.payload))) for r in rows)
    return _applied([change for one in told for change in one])


def rows_in_force() -> dict[tuple[str, str], tuple[str, str]]:
    """(scope, id) -> (action, reason): the table of docs/internals/decisions.md, written out."""
    held: dict[tuple[str, str], tuple[str, str]] = {}
    for one in Decision.objects.all():
        if one.state in ("observed", "canary", "active"):
            action = one.action if one.state == "active" else "warn"
            held[one.scope, one.id] = (action, one.reason)
        if one.state == "canary":
            held |= {(commune, one.id): (one.action, one.reason) for commune in one.canary_communes}
    for row in LocalException.objects.filter(state="active"):
        held[row.collectivite_id, row.id] = ("allow", "local_exception")
    return held


def agree(plane: Database) -> Held:
    held = deltas()
    assert held == _applied(Store(plane, Path()).in_force()[0])
    spared = {key: e for key, e in held.items() if e.reason == "never_again"}
    assert {k: (e.action.value, e.reason) for k, e in held.items() if k not in spared} == rows_in_force()
    return held


def at_doors(plane: Database) -> str:
    """What doors of all communes do about the site: "", "warn" or "block"."""
    found = [e for (scope, _), e in agree(plane).items() if scope == "all" and e.indicator == SITE]
    assert len(found) <= 1
    return found[0].action.value if found else ""


# -- each state, each event --------------------------------------------------------------------------------


def _step(_: Actor) -> None:
    Decision.objects.update(state_since=clock.now() - timedelta(hours=1))
    whole(staging.tick())


def hit_by(_: Actor) -> None:
    """Communes are refused what they live on."""
    for one in Decision.objects.filter(state__in=Decision.OPEN):
        for commune in Collectivite.objects.order_by("id")[:5]:
            staging.note_effect(decision_id=one.id, collectivite_id=commune.id, blocked_out=9, days=9)
    whole(staging.tick())


def _observed(system: Actor, *then: Callable[[Actor], None]) -> None:
    decide(system, strength="weak")
    for event in then:
        event(system)


def weak_active(system: Actor, *then: Callable[[Actor], None]) -> None:
    _observed(system, _step, _step, *then)


def _rolled_back(system: Actor) -> None:
    weak_active(system, hit_by)


STATES: dict[str, Callable[[Actor], object]] = {
    "none": lambda _: None,
    "observed": _observed,
    "canary": lambda system: _observed(system, _step),
    "active (weak)": weak_active,
    "active": decide,
    "review": lambda system: _observed(system, hit_by),
    "withdrawn": _rolled_back,
}

ADMIN = Actor("administrator", "adm_01")


def _ended() -> None:
    with clock.shifted(TTL_S + 1):
        actions.expire_due()


def _later(strength: str, actor: Actor, *, lives: float) -> None:
    """After more than one life, the time is over and the worker has not been there yet."""
    with clock.shifted(TTL_S * lives):
        decide(actor, strength=strength)


def approve_it(_: Actor) -> None:
    for one in Decision.objects.filter(state__in=Decision.OPEN):
        staging.approve(actor=ADMIN, decision=one)


def _revoke(_: Actor) -> None:
    for one in Decision.objects.filter(state__in=Decision.OPEN):
        actions.revoke(actor=ADMIN, decision=one, reason="undone")


EVENTS: dict[str, Callable[[Actor], object]] = {
    "weak": lambda system: decide(system, strength="weak"),
    "strong": decide,
    "person": lambda _: decide(ADMIN, rule="departement", reason="departement_confirmed"),
    "approve": approve_it,
    "revoke": _revoke,
    "expiry": lambda _: _ended(),
    "weak, soon": lambda system: _later("weak", system, lives=0.5),
    "strong, soon": lambda system: _later("strong", system, lives=0.5),
    "weak, late": lambda system: _later("weak", system, lives=3),
    "strong, late": lambda system: _later("strong", system, lives=3),
    "person, late": lambda _: _later("strong", ADMIN, lives=3),
    "hit": hit_by,
    "step": _step,
    "never again": lambda _: never_again.never_again(actor=ADMIN, indicator=SITE, reason="mairie"),
}
B, W, NO = ("active", "block"), ("observed", "warn"), ("", "")
ASKED, ENDED, GONE = ("review", ""), ("expired", ""), ("revoked", "")
TABLE = {
    # event:         none  observed              canary  active (weak) active review withdrawn
    "weak":         (W,    W,                    ("canary", "warn"), B, B,   ASKED, ASKED),
    "strong":       (B,    B,                    B,      B,          B,      ASKED, ASKED),
    "person":       (B,    B,                    B,      B,          B,      B,     B),
    "approve":      (NO,   B,                    B,      None,       None,   B,     B),
    "revoke":       (NO,   GONE,                 GONE,   GONE,       GONE,   GONE,  GONE),
    "expiry":       (NO,   ENDED,                ENDED,  ENDED,      ENDED,  ASKED, ASKED),
    "weak, soon":   (W,    W,                    ("canary", "warn"), B, B,   ASKED, ASKED),
    "strong, soon": (B,    B,                    B,      B,          B,      ASKED, ASKED),
    "weak, late":   (W,    W,                    W,      W,          W,      ASKED, ASKED),
    "strong, late": (B,    B,                    B,      B,          B,      ASKED, ASKED),
    "person, late": (B,    B,                    B,      B,          B,      B,     B),
    "hit":          (NO,   ASKED,                ASKED,  ASKED,      B,      ASKED, ASKED),
    "step":         (NO,   ("canary", "warn"),   B,      B,          B,      ASKED, ASKED),
    "never again":  (NO,   GONE,                 GONE,   GONE,       GONE,   GONE,  GONE),
}  # fmt: skip
CASES = [(event, state) for event in TABLE for state in STATES]


@pytest.mark.parametrize(("event", "state"), CASES)
def test_each_event_in_each_state(
    event: str, state: str, system: Actor, town_halls: list[str], plane: Database
) -> None:
    STATES[state](system)
    before = agree(plane)
    expected = TABLE[event][list(STATES).index(state)]
    if expected is None:
        with pytest.raises(BeffroiError):
            EVENTS[event](system)
        assert agree(plane) == before
        return
    EVENTS[event](system)
    latest = Decision.objects.order_by("proposed_at", "id").last()
    told = at_doors(plane)
    if event == "never again":
        assert told == "allow"
        told = ""
    assert (latest.state if latest else "", told) == expected
    if expected == B and event in ("person", "approve", "person, late") and latest is not None:
        hit_by(system)  # what a person put in force is not rolled back by a count
        assert at_doors(plane) == "block"


def test_the_table_is_whole() -> None:
    assert TABLE.keys() == EVENTS.keys()
    assert all(len(row) == len(STATES) for row in TABLE.values())


@pytest.mark.parametrize("seed", range(12))
def test_in_any_order_rows_snapshot_and_events_say_the_same(
    seed: int, system: Actor, town_halls: list[str], plane: Database, beaune: Commune
) -> None:
    """And what was withdrawn comes back by a person only."""
    rng = random.Random(seed)
    some: dict[str, Callable[[Actor], object]] = {**EVENTS, "allow": lambda _: _allow(beaune)}
    del some["never again"]
    passed, waits, names = 0.0, False, []
    for _ in range(25):
        name = rng.choice(sorted(some))
        names.append(name)
        passed += rng.choice((0, 60, 2000, TTL_S / 2))
        with clock.shifted(passed):
            try:
                some[name](system)
            except BeffroiError:
                pass
            answered = name in ("person", "person, late", "approve", "revoke")
            assert not waits or answered or at_doors(plane) == "", names
            agree(plane)
        waits = Decision.objects.filter(state="review").exists()


def _allow(commune: Commune) -> None:
    exceptions.allow_locally(
        actor=commune.agent, collectivite_id=commune.id, indicator=SITE, ttl_s=600, reason="fournisseur"
    )


# -- what a person said ------------------------------------------------------------------------------------


def test_what_is_in_review_learns_and_tells_nobody(
    system: Actor, town_halls: list[str], plane: Database
) -> None:
    _rolled_back(system)
    events = OutboxEvent.objects.count()
    for strength in ("weak", "strong"):
        decide(system, strength=strength, evidence={"communes": 7, "detectors": ["link_mismatch"]})
    assert (OutboxEvent.objects.count(), at_doors(plane)) == (events, "")
    row = Decision.objects.get()
    assert (row.rule, row.strength, row.evidence["communes"]) == ("lone_source", "weak", 7)
    assert row.evidence["detectors"] == ["link_mismatch", "listed_name"]


@pytest.mark.usefixtures("database")
def test_weak_evidence_that_goes_on_by_itself_takes_over_from_what_waits_for_a_person(system: Actor) -> None:
    """The lone word of a commune, then a list that names the same."""
    for rule, stands in (
        ("one_commune", "one_commune"),
        ("automatic_name", "automatic_name"),
        ("one_commune", "automatic_name"),
        ("lone_source", "lone_source"),
        ("automatic_name", "lone_source"),
    ):
        decide(system, strength="weak", rule=rule)
        assert Decision.objects.get().rule == stands


@pytest.mark.parametrize("kind", ["decision:extended", "decision:activated", "decision:observed"])
def test_the_feed_takes_nothing_in_that_is_not_in_force_by_its_own_words(kind: str) -> None:
    payload = {
        "decision_id": "dec_1", "kind": "domain", "value": SITE.value, "action": "block", "scope": "all",
        "reason": "x", "expires_at": 9, "state": "review",
    }  # fmt: skip
    for state in ("review", "expired", "revoked", "of a later version"):
        (change,) = channel_events(Event(1, kind, None, {**payload, "state": state}))
        assert isinstance(change, DecisionEvent) and change.entry is None
    (change,) = channel_events(Event(1, kind, None, {**payload, "state": "active"}))
    assert isinstance(change, DecisionEvent) and change.entry is not None


def test_an_approval_is_what_the_row_says_and_the_doors_hold(
    system: Actor, administrator: Actor, town_halls: list[str], plane: Database
) -> None:
    _rolled_back(system)
    row = Decision.objects.get()
    staging.approve(actor=administrator, decision=row)
    row.refresh_from_db()
    assert (row.rule, row.strength, row.reason) == ("departement", "strong", "departement_confirmed")
    assert (row.state, row.decided_by, row.review_reason) == ("active", administrator.id, "")
    assert [e.reason for e in agree(plane).values()] == ["departement_confirmed"]
    old = Decision.objects.exclude(pk=row.pk).get()
    assert (old.state, old.end_reason, old.rule) == ("revoked", "decided_anew", "lone_source")
    assert AuditEntry.objects.filter(verb="decision:activated", object_id=row.id).exists()


@pytest.mark.parametrize("state", ["withdrawn", "review", "observed", "active (weak)"])
def test_a_persons_demand_gives_its_grounds(
    state: str, system: Actor, administrator: Actor, town_halls: list[str], plane: Database
) -> None:
    STATES[state](system)
    made = decide(
        administrator, rule="departement", reason="confirmed", evidence={"communes": 3}, campaign_id="cmp_9"
    )
    made.refresh_from_db()
    assert (made.rule, made.strength, made.reason) == ("departement", "strong", "confirmed")
    assert (made.evidence["communes"], made.campaign_id, made.state) == (3, "cmp_9", "active")
    assert [e.reason for e in agree(plane).values()] == ["confirmed"]


def test_strong_evidence_for_what_is_in_force_on_weak_counts(
    system: Actor, beaune: Commune, town_halls: list[str], plane: Database
) -> None:
    weak_active(system)
    _allow(beaune)
    decide(system)
    row = Decision.objects.get()
    assert (row.rule, row.strength, row.reason) == ("two_communes", "strong", "two_communes")
    assert not LocalException.objects.filter(state="active").exists()  # several communes saw it
    hit_by(system)
    assert at_doors(plane) == "block"


def test_who_confirms_a_command_server_does_not_make_it_one_that_may_be_opened(
    system: Actor, administrator: Actor, beaune: Commune, town_halls: list[str], plane: Database
) -> None:
    for number, state in enumerate((_observed, _rolled_back)):
        Decision.objects.update(state="revoked")
        state(system)
        Decision.objects.filter(state__in=Decision.OPEN).update(reason="command_server")
        if number:
            decide(administrator, rule="departement", reason="confirmed")
        else:
            approve_it(system)
        with pytest.raises(exceptions.ExceptionRefused, match="command_server"):
            _allow(beaune)


# -- what became protected meanwhile -----------------------------------------------------------------------


def test_what_became_protected_while_it_was_observed_is_never_put_in_force(
    system: Actor, administrator: Actor, town_halls: list[str], plane: Database, make_commune: Callable[..., Commune]
) -> None:  # fmt: skip
    _observed(system)
    row = Decision.objects.get()
    make_commune("Fournitures", SITE.value)
    with pytest.raises(ProtectedIndicator):
        staging.approve(actor=administrator, decision=row)
    _step(system)
    row.refresh_from_db()
    assert (row.state, row.end_reason, at_doors(plane)) == ("revoked", "protected", "")


def test_stages_do_not_revive_what_ended_while_the_worker_slept(
    system: Actor, town_halls: list[str], plane: Database
) -> None:
    _observed(system, _step)
    with clock.shifted(3 * TTL_S):
        assert whole(staging.tick()) == 0
        actions.expire_due()
    assert at_doors(plane) == ""
