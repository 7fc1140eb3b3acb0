"""An entry of a list that town halls live on passes at every door until a person has looked; and what never does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.communes.models import Collectivite
from beffroi.core.decisions import actions, lists, never_again, protected, queries, sparing
from beffroi.core.decisions.models import EntryUse, NeverAgain
from beffroi.core.events import outbox
from beffroi.core.events.models import OutboxEvent
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.stream.store import Event, channel_events
from beffroi.watch.sources import updates
from beffroi_protocol.indicators import normalise
from django.db import transaction

from tests.fixtures_stages import every_hour, with_boxes
from tests.publishing import new_source

pytest_plugins = ["tests.fixtures_sources"]
__all__ = ["every_hour"]
SUPPLIER = normalise("domain", "fournitures-bureau.com")
OTHER = normalise("domain", "lure.example.net")


@pytest.fixture
def town_halls(database: str, every_hour: None) -> list[str]:
    made = [Collectivite.objects.create(kind="commune", name=f"Commune {n}") for n in range(20)]
    with_boxes(one.id for one in made)
    return [one.id for one in made]


def publish(system: Actor, *values: str, name: str = "test", threat: str = "phishing") -> None:
    lists.publish_list(
        actor=system, name=name, kind="domain", values=values, source="x", licence="x", threat=threat
    )
    run_pending("main")


def refused(owner: str, value: str = SUPPLIER.value, *, direction: str = "name", entry: str = "test") -> None:
    payload = {"kind": "domain", "value": value, "direction": direction, "entry_id": entry, "count": 3}
    _tell("box:flows_counted", owner, payload)


def met(owner: str, days: int, value: str = SUPPLIER.value) -> None:
    told = {"indicator_kind": "domain", "indicator_value": value, "entry_id": "test", "count": 9}
    _tell("box:looked_back", owner, {**told, "days": days})


def _tell(kind: str, owner: str, payload: dict[str, object]) -> None:
    with transaction.atomic():
        outbox.publish(kind, payload, collectivite_id=owner)
    run_pending("main")


def passing() -> set[str]:
    return set(NeverAgain.objects.filter(revoked_at=None).values_list("value", flat=True))


def told_to_doors() -> list[str]:
    return [
        str(change.entry.action)
        for row in OutboxEvent.objects.filter(kind__startswith="never_again").order_by("id")
        for change in channel_events(Event(row.id, row.kind, row.collectivite_id, json.loads(row.payload)))
        if change.entry is not None
    ]


def test_an_entry_that_communes_live_on_is_taken_out_until_a_person_looks(
    system: Actor, administrator: Actor, town_halls: list[str]
) -> None:
    publish(system, SUPPLIER.value, OTHER.value)
    for owner in town_halls:
        refused(owner)
    assert passing() == set()  # what many meet today may as well be an attack on many
    met(town_halls[0], 9)
    assert passing() == set()  # one commune
    met(town_halls[1], 9)
    assert passing() == {SUPPLIER.value}
    assert told_to_doors() == ["allow"]
    (waiting,) = queries.spared_entries(administrator)
    assert (waiting.communes, waiting.reason, queries.undecided_count(administrator)) == (2, "entry_used", 1)
    assert AuditEntry.objects.get(verb="never_again:set").actor_id == sparing.ACTOR.id
    assert protected.current().check(SUPPLIER) == ""  # it stops no decision
    never_again.take_back(actor=administrator, never_again_id=waiting.id, reason="c’est un piège")
    met(town_halls[2], 9)
    met(town_halls[3], 9)
    assert passing() == set()  # a person looked


def test_what_communes_met_on_many_days_before_is_taken_out(system: Actor, town_halls: list[str]) -> None:
    publish(system, SUPPLIER.value)
    met(town_halls[0], 12)
    met(town_halls[1], 2)
    assert passing() == set()
    met(town_halls[2], 3)
    met(town_halls[3], 4)
    assert passing() == {SUPPLIER.value}


def test_a_clock_set_forward_makes_no_entry_old_and_no_day_of_use(
    system: Actor, town_halls: list[str]
) -> None:
    publish(system, SUPPLIER.value)
    refused(town_halls[0])
    with clock.jumped(86400):
        refused(town_halls[0])
        assert EntryUse.objects.get().refused_days == 1
        for owner in town_halls:
            met(owner, 9)
    assert passing() == {SUPPLIER.value}


def test_an_old_entry_a_command_server_and_what_is_decided_are_not_taken_out(
    system: Actor, town_halls: list[str]
) -> None:
    for threat in ("command_server", "malware"):
        publish(system, SUPPLIER.value, threat=threat)
        for owner in town_halls:
            met(owner, 9)
    publish(system, OTHER.value, name="other")
    with clock.shifted(3700):
        for owner in town_halls:
            met(owner, 9, OTHER.value)
    publish(system, "decided.example.net", name="third")
    actions.activate(
        actor=system, indicator=normalise("domain", "decided.example.net"), action="block", reason="two_communes",
        evidence={"communes": 2}, rule="two_communes", ttl_s=3600,
    )  # fmt: skip
    for owner in town_halls:
        met(owner, 9, "decided.example.net")
    assert passing() == set()


def test_a_decision_ends_what_would_let_it_pass(system: Actor, town_halls: list[str]) -> None:
    publish(system, SUPPLIER.value)
    met(town_halls[0], 3)
    met(town_halls[1], 3)
    assert passing() == {SUPPLIER.value}
    actions.activate(
        actor=system, indicator=SUPPLIER, action="block", reason="two_communes",
        evidence={"communes": 2}, rule="two_communes", ttl_s=3600,
    )  # fmt: skip
    run_pending("main")
    assert passing() == set()


def test_a_new_entry_that_communes_use_passes_before_the_list_is_published(
    system: Actor, administrator: Actor, town_halls: list[str], sources_state: Path
) -> None:
    for days in range(4):
        with clock.shifted(-86400 * days):
            for owner in town_halls[:2]:
                refused(owner, entry="other")
    source = new_source(weight="list", threat="phishing")
    key = f"domain\t{SUPPLIER.value}"
    now_s = clock.epoch_s()
    updates.effect(source, {"domain\tfirst.example.net": (now_s, 0)})
    assert passing() == set()
    updates.effect(source, {"domain\tfirst.example.net": (now_s, 0), key: (now_s, 0)})
    assert passing() == {SUPPLIER.value}
    kinds = list(
        OutboxEvent.objects.filter(kind__in=("never_again:set", "list:published"))
        .order_by("id")
        .values_list("kind", flat=True)
    )
    assert kinds == ["list:published", "never_again:set", "list:published"]
    (waiting,) = queries.spared_entries(administrator)
    assert (waiting.reason, waiting.communes) == ("entry_used", 2)
    never_again.never_again(actor=administrator, indicator=SUPPLIER, reason="fournisseur")
    assert not queries.spared_entries(administrator).exists()
    assert passing() == {SUPPLIER.value}
