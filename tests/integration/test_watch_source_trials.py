"""A list that is new, or grew at once, is observed by the boîtiers first; what follows from what they tell."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from beffroi.boxes.models import Box
from beffroi.core.audit.models import AuditEntry
from beffroi.core.communes.models import Collectivite
from beffroi.core.decisions.models import IndicatorList, NeverAgain
from beffroi.core.events import outbox
from beffroi.core.events.models import OutboxEvent
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.core.planes import files
from beffroi.incidents.models import Incident
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, Invalid, NotAllowed
from beffroi.stream.store import Event, channel_events
from beffroi.watch.sources import actions, queries, store, updates
from beffroi.watch.sources.models import FeedSource, SourceTrial
from beffroi.watch.sources.rules import UNHEARD_S
from django.conf import settings
from django.db import transaction

from tests.conftest import Commune
from tests.fixtures_stages import with_boxes
from tests.publishing import SYSTEM, new_source

pytest_plugins = ["tests.fixtures_sources"]
SUPPLIER, TRIAL_S = "fournitures-bureau.com", 2700
LIST, TRIAL = "source-essai-domain", "source-essai-domain.trial"


@pytest.fixture(autouse=True)
def tried(database: str, sources_state: Path, settings: Any) -> None:
    settings.BEFFROI = replace(
        settings.BEFFROI, list_trial_s=TRIAL_S, list_trial_size=20, list_trial_used=2, work_begins_h=0, work_ends_h=0
    )  # fmt: skip


@pytest.fixture
def town_halls(database: str) -> list[str]:
    made = [Collectivite.objects.create(kind="commune", name=f"Commune {n}") for n in range(20)]
    with_boxes(one.id for one in made)
    return [one.id for one in made]


@pytest.fixture
def source() -> Iterator[FeedSource]:
    made = new_source(threat="phishing")
    yield made
    updates.stop(made.id, made.slug)


def names(first: int, count: int) -> list[str]:
    return [f"n{n}.lure.example" for n in range(first, first + count)]


def bring(source: FeedSource, *found: str) -> None:
    """The source names exactly these now."""
    source.refresh_from_db()
    now_s = clock.epoch_s()
    store.write(
        store.entries_file(settings.BEFFROI.state, source.id),
        {f"domain\t{name}": (now_s, 0) for name in found},
    )
    updates.refresh(source)


def lists() -> dict[str, tuple[str, int]]:
    return {row.name: (row.action, row.count) for row in IndicatorList.objects.all()}


def state(source: FeedSource) -> str:
    trial = SourceTrial.objects.filter(source=source).first()
    return trial.state if trial is not None else ""


def met(owner: str, value: str, days: int = 9, kind: str = "domain") -> None:
    told = {
        "indicator_kind": kind,
        "indicator_value": value,
        "entry_id": f"source-essai-{kind}.trial",
        "count": 30,
        "days": days,
    }
    now_s = clock.epoch_s()
    with transaction.atomic():
        outbox.publish(
            "box:looked_back", {**told, "first_at": now_s, "last_at": now_s}, collectivite_id=owner
        )
    run_pending("main")


def later(seconds: float = TRIAL_S + 1, *, since: float = 0.0) -> int:
    """Look as often as the process ``sources`` must, from ``since`` to ``seconds`` later."""
    passed, at = 0, since
    while at < seconds:
        at = min(at + 120, seconds)
        with clock.shifted(at):
            passed += updates.move_trials()
    return passed


def test_a_new_list_is_observed_and_then_in_force_everywhere(
    source: FeedSource, town_halls: list[str]
) -> None:
    bring(source, *names(0, 5))
    assert lists() == {TRIAL: ("warn", 5)} and state(source) == "observing"
    told = [
        (change.bulk.name, str(change.bulk.action))
        for row in OutboxEvent.objects.filter(kind="list:published")
        for change in channel_events(Event(row.id, row.kind, row.collectivite_id, json.loads(row.payload)))
    ]
    assert told == [(TRIAL, "warn")], "every door hears of it, and of nothing to refuse"
    assert later(TRIAL_S - 60) == 0 and state(source) == "observing"
    source.refresh_from_db()
    assert source.in_force == 0 and queries.state_of(source).state == "tried"
    assert later() == 1
    assert lists() == {LIST: ("block", 5)} and state(source) == ""
    bring(source, *names(0, 25))
    assert lists() == {LIST: ("block", 25)}, "few new ones of a known list are tried by nobody"


def test_a_source_whose_list_is_damaged_keeps_no_other_from_its_turn(
    source: FeedSource, town_halls: list[str]
) -> None:
    other = new_source(name="Autre", threat="phishing")
    try:
        bring(source, *names(0, 5))
        bring(other, *names(10, 5))
        met(town_halls[0], names(0, 1)[0])
        met(town_halls[1], names(0, 1)[0])
        damaged = IndicatorList.objects.get(name=TRIAL)
        files.list_file(settings.BEFFROI.state, damaged.sha256).write_bytes(b"damaged")
        assert later() == 1
        assert lists()[f"source-{other.slug}-domain"] == ("block", 5)
        assert state(source) == "observing"
        FeedSource.objects.update(next_gone_at=clock.now() - timedelta(days=1))
        assert updates.sweep() == 1
        assert FeedSource.objects.get(pk=other.pk).next_gone_at > clock.now()
    finally:
        updates.stop(other.id, other.slug)


def test_what_grew_at_once_is_observed_while_the_rest_stays_in_force(
    source: FeedSource, town_halls: list[str]
) -> None:
    bring(source, *names(0, 10))
    later()
    bring(source, *names(5, 40))
    assert lists() == {LIST: ("block", 5), TRIAL: ("warn", 35)}, "what is named no longer leaves at once"
    bring(source, *names(5, 41))
    assert lists() == {LIST: ("block", 5), TRIAL: ("warn", 36)}, "a few more join"
    since = SourceTrial.objects.get().since
    bring(source, *names(5, 80))
    assert SourceTrial.objects.get().since > since, "much more begins anew"
    later()
    assert lists() == {LIST: ("block", 80)}


@pytest.mark.parametrize("fields", [{"threat": "malware"}, {"threat": "command_server"}])
def test_what_the_infected_call_is_in_force_at_once(
    source: FeedSource, town_halls: list[str], fields: dict[str, str]
) -> None:
    bring(source, *names(0, 5))
    assert lists() == {TRIAL: ("warn", 5)}
    actions.change_source(actor=SYSTEM, source=source, **fields)
    bring(source, *names(0, 50))
    assert lists() == {LIST: ("block", 50)} and state(source) == ""


def test_where_no_box_is_heard_or_nobody_works_nothing_passes(
    source: FeedSource, town_halls: list[str], settings: Any
) -> None:
    bring(source, *names(0, 5))
    Box.objects.update(last_seen_at=clock.now() - timedelta(days=1))
    assert later(2 * TRIAL_S) == 0 and lists() == {TRIAL: ("warn", 5)}
    Box.objects.update(last_seen_at=clock.now() + timedelta(days=30))
    saturday = (5 - clock.now().weekday()) % 7 * 86400
    settings.BEFFROI = replace(settings.BEFFROI, work_begins_h=8, work_ends_h=18)
    with clock.shifted(saturday):
        SourceTrial.objects.update(looked_at=clock.now())
    assert later(saturday + 2 * TRIAL_S, since=saturday) == 0


def test_time_in_which_nobody_looked_or_no_box_was_heard_is_no_trial(
    source: FeedSource, town_halls: list[str]
) -> None:
    bring(source, *names(0, 5))
    with clock.shifted(TRIAL_S + 1):
        assert updates.move_trials() == 0, "the centre was down, or its clock jumped"
    with clock.shifted(2 * TRIAL_S):
        Box.objects.update(last_seen_at=clock.now() - timedelta(days=1))
    assert later(3 * TRIAL_S, since=TRIAL_S + 1) == 0
    Box.objects.update(last_seen_at=clock.now() + timedelta(days=1))
    assert later(3 * TRIAL_S + UNHEARD_S, since=3 * TRIAL_S) == 0, (
        "they come back, and have tried it for minutes"
    )
    assert state(source) == "observing" and SourceTrial.objects.get().tried_s < TRIAL_S / 2
    assert later(4 * TRIAL_S + 60, since=3 * TRIAL_S + UNHEARD_S) == 1
    assert lists() == {LIST: ("block", 5)}


def test_an_entry_that_communes_live_on_passes_when_the_list_comes_into_force(
    source: FeedSource, town_halls: list[str]
) -> None:
    bring(source, SUPPLIER, *names(0, 5))
    for owner in town_halls[:2]:
        met(owner, SUPPLIER)
    met(town_halls[2], "n1.lure.example")
    assert not NeverAgain.objects.exists() and not Incident.objects.exists(), "nothing is refused yet"
    assert later() == 1
    assert lists() == {LIST: ("block", 6)}
    assert list(NeverAgain.objects.values_list("value", "pending", "communes")) == [(SUPPLIER, True, 2)]


def test_of_many_such_entries_the_list_waits_for_a_person(
    source: FeedSource, town_halls: list[str], administrator: Actor
) -> None:
    bring(source, *names(0, 6))
    for number in range(3):
        for owner in town_halls[:2]:
            met(owner, f"n{number}.lure.example")
    assert later(60) == 0
    assert (state(source), SourceTrial.objects.get().used, later()) == ("review", 3, 0)
    assert lists() == {TRIAL: ("warn", 6)} and queries.held_count(administrator) == 1
    assert [one.source.id for one in queries.alarms(administrator)] == [source.id]
    assert AuditEntry.objects.filter(verb="source:trial_review").exists()
    actions.answer_trial(actor=administrator, source=source, kind="domain", enforce=True, why="des leurres")
    run_pending("sources")
    assert lists() == {LIST: ("block", 6)} and NeverAgain.objects.count() == 3


def test_ranges_are_tried_too_and_one_that_communes_live_on_passes(
    source: FeedSource, town_halls: list[str]
) -> None:
    store.write(
        store.entries_file(settings.BEFFROI.state, source.id),
        {f"cidr\t{one}": (clock.epoch_s(), 0) for one in ("45.83.1.0/24", "45.84.1.0/24")},
    )
    updates.refresh(source)
    for owner in town_halls[:2]:
        met(owner, "45.84.1.0/24", kind="cidr")
    later(60)
    assert (state(source), SourceTrial.objects.get().used) == ("observing", 1)
    assert later() == 1 and lists() == {"source-essai-cidr": ("block", 2)}
    assert list(NeverAgain.objects.values_list("value", flat=True)) == ["45.84.1.0/24"]


def test_a_person_ends_a_trial_early_or_refuses_and_is_asked_again_when_it_grows(
    source: FeedSource, town_halls: list[str], administrator: Actor, beaune: Commune
) -> None:
    bring(source, *names(0, 5))
    answer: dict[str, Any] = {"source": source, "kind": "domain"}
    with pytest.raises(NotAllowed):
        actions.answer_trial(actor=beaune.agent, enforce=True, why="de passage", **answer)
    with pytest.raises(Invalid):
        actions.answer_trial(actor=administrator, enforce=True, why="", **answer)
    with pytest.raises(Conflict):
        actions.answer_trial(actor=administrator, source=source, kind="ip", enforce=True, why="rien ici")
    actions.answer_trial(actor=administrator, enforce=False, why="trop large", **answer)
    assert later() == 0 and state(source) == "refused" and lists() == {TRIAL: ("warn", 5)}
    bring(source, *names(0, 7))
    assert lists() == {TRIAL: ("warn", 7)}
    bring(source, *names(0, 50))
    assert state(source) == "review" and later() == 0
    actions.answer_trial(actor=administrator, enforce=True, why="vérifiée", **answer)
    run_pending("sources")
    assert lists() == {LIST: ("block", 50)}
    bring(source, *names(0, 100))
    actions.answer_trial(actor=administrator, enforce=False, why="trop large", **answer)
    bring(source, *names(0, 103))
    assert lists() == {LIST: ("block", 53), TRIAL: ("warn", 50)}, "few new ones come into force as ever"
    assert AuditEntry.objects.filter(verb="source:trial_refused", actor_id=administrator.id).count() == 2


def test_a_person_s_word_is_about_what_was_on_trial_then(
    source: FeedSource, town_halls: list[str], administrator: Actor
) -> None:
    bring(source, *names(0, 5))
    actions.answer_trial(actor=administrator, source=source, kind="domain", enforce=True, why="vérifiée")
    bring(source, *names(0, 50))  # before the process ``sources`` has read the answer
    assert lists() == {LIST: ("block", 5), TRIAL: ("warn", 45)} and state(source) == "review"
    run_pending("sources")
    assert lists() == {LIST: ("block", 5), TRIAL: ("warn", 45)} and later() == 0


def test_a_source_that_is_stopped_leaves_no_trial(source: FeedSource, town_halls: list[str]) -> None:
    bring(source, *names(0, 5))
    actions.stop_source(actor=SYSTEM, source=source)
    run_pending("sources")
    assert lists() == {} and state(source) == ""
