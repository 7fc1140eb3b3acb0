"""Questions to a person that nobody answered: they leave the queue unblocked, and new evidence asks them again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.decisions import actions, appeals, queries, staging
from beffroi.core.decisions.models import ENDS_AT_ONCE, Decision
from beffroi.core.identity.actor import Actor
from beffroi.core.planes.db import Database
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.portal import explaining
from django.db import transaction
from pytest_django.fixtures import Settings

from tests.conftest import Commune
from tests.fixtures_stages import every_hour
from tests.integration.test_core_decision_states import at_doors, decide

__all__ = ["every_hour"]

pytestmark = pytest.mark.usefixtures("database")
HOUR_S, DAY_S = 3600, 86400
MONDAY = datetime(2026, 11, 23, 9, tzinfo=UTC)
FRIDAY = datetime(2026, 11, 27, 16, tzinfo=UTC)
"""In the evening, by the clocks of Paris an hour before work ends."""


@transaction.atomic
def asked(system: Actor, *, life_s: int, was_in_force: bool = False) -> Decision:
    """A decision that has just come to a person."""
    one = decide(system, strength="strong" if was_in_force else "weak", ttl_s=life_s)
    one.state, one.state_since, one.review_reason = Decision.State.REVIEW, clock.now(), "over_budget"
    one.save()
    actions.tell(one, "review", actor=system)
    return one


TABLE = [
    # life, begin, hours later, ends
    (4 * HOUR_S, MONDAY, 3, False),  # its life is not over
    (4 * HOUR_S, MONDAY, 9, False),  # nor the day in which a person may look
    (4 * HOUR_S, MONDAY, 25, True),
    (4 * HOUR_S, FRIDAY, 60, False),  # nobody is there on a weekend
    (4 * HOUR_S, FRIDAY, 71, False),
    (4 * HOUR_S, FRIDAY, 73, True),
    (7 * DAY_S, MONDAY, 6 * 24, False),
    (7 * DAY_S, MONDAY, 7 * 24 + 1, True),
]


@pytest.fixture
def by_day(config: Config, settings: Settings) -> None:
    settings.BEFFROI = replace(config, work_begins_h=8, work_ends_h=18)


@pytest.mark.parametrize("case", TABLE)
def test_a_question_ends_after_its_life_and_a_working_day(
    case: tuple[int, datetime, int, bool], system: Actor, plane: Database, by_day: None
) -> None:
    life_s, begin, hours_later, ends = case
    shift_s = (begin - clock.now()).total_seconds()
    with clock.shifted(shift_s):
        one = asked(system, life_s=life_s)
    with clock.shifted(shift_s + hours_later * HOUR_S):
        actions.expire_due()
        assert staging.lapse_unanswered() == int(ends)
        one.refresh_from_db()
        assert one.state == ("expired" if ends else "review")
        assert at_doors(plane) == ""
        assert staging.lapse_unanswered() == 0


@pytest.mark.usefixtures("every_hour")
@pytest.mark.parametrize("was_in_force", [False, True])
@pytest.mark.parametrize("strength", ["weak", "strong"])
def test_new_evidence_asks_again_and_blocks_nothing(
    strength: str, was_in_force: bool, system: Actor, administrator: Actor, plane: Database
) -> None:
    one = asked(system, life_s=HOUR_S, was_in_force=was_in_force)
    with clock.shifted(2 * DAY_S):
        assert staging.lapse_unanswered() == 1
        one.refresh_from_db()
        assert (one.end_reason, one.ended_by) == ("nobody_decided", "decisions.stages")
        assert not queries.review_queue(administrator).exists()
        assert "personne n’a tranché" in explaining.summary(one, [])
        assert any("Sorti de la file" in moment.text for moment in explaining.history(one, [], []))
    with clock.shifted(3 * DAY_S):
        again = decide(system, strength=strength, evidence={"communes": 7}, ttl_s=HOUR_S)
        assert (again.id, again.state, again.evidence["communes"]) == (one.id, "review", 7)
        assert (again.ended_at, again.end_reason) == (None, "")
        assert queries.review_queue(administrator).get().id == one.id and at_doors(plane) == ""
        assert staging.lapse_unanswered() == 0, "it has a life anew"
    with clock.shifted(5 * DAY_S):
        assert staging.lapse_unanswered() == 1
    verbs = list(AuditEntry.objects.filter(object_id=one.id).order_by("id").values_list("verb", flat=True))
    assert verbs[1:] == ["decision:review", "decision:expired", "decision:review", "decision:expired"]


@pytest.mark.parametrize("was_in_force", [False, True])
def test_a_person_puts_in_force_what_nobody_had_decided(
    was_in_force: bool, system: Actor, administrator: Actor, every_hour: None, plane: Database
) -> None:
    one = asked(system, life_s=HOUR_S, was_in_force=was_in_force)
    with clock.shifted(2 * DAY_S):
        staging.lapse_unanswered()
        made = decide(administrator, rule="departement", reason="confirmed", ttl_s=HOUR_S)
        assert (made.id == one.id) is not was_in_force and at_doors(plane) == "block"
    with clock.shifted(2 * DAY_S + 2 * HOUR_S):
        actions.expire_due()
        assert decide(system).state == "active", "a person answered: later evidence is judged as ever"


def test_what_a_commune_contests_waits_for_its_answer(
    system: Actor, administrator: Actor, beaune: Commune, every_hour: None
) -> None:
    one = decide(system, ttl_s=HOUR_S)
    appeal = appeals.appeal(actor=beaune.agent, decision_id=one.id, text="C’est notre fournisseur.")
    Decision.objects.update(state=Decision.State.REVIEW, state_since=clock.now())
    with clock.shifted(30 * DAY_S):
        assert staging.lapse_unanswered() == 0
        appeals.answer(actor=administrator, appeal_id=appeal.id, accept=False, text="C’est un hameçonnage.")
        assert staging.lapse_unanswered() == 1


def test_another_scope_and_another_indicator_are_judged_as_ever(
    system: Actor, beaune: Commune, every_hour: None
) -> None:
    asked(system, life_s=HOUR_S)
    with clock.shifted(2 * DAY_S):
        staging.lapse_unanswered()
        assert decide(system, scope=beaune.id).state == "active"


def test_thousands_of_questions_end_in_turns(system: Actor, every_hour: None) -> None:
    long_ago = clock.now() - timedelta(days=9)
    Decision.objects.bulk_create(
        Decision(
            kind="domain", value=f"site-{n}.com", action="block", state="review", reason="x", rule="lone_source",
            decided_by="x", state_since=long_ago, expires_at=long_ago,
        )
        for n in range(ENDS_AT_ONCE + 5)
    )  # fmt: skip
    assert [staging.lapse_unanswered() for _ in range(3)] == [ENDS_AT_ONCE, 5, 0]
