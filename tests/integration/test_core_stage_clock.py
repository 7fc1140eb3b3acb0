"""Stages and ends of decisions while the machine's clock is set, forward and back, and when the machine is started."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from beffroi.core.decisions import actions, staging
from beffroi.core.decisions.models import ENDS_AT_ONCE, Decision, StageClock
from beffroi.core.events.running import whole
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi_protocol.indicators import normalise

from tests.fixtures_stages import every_hour, later, town_halls, with_boxes
from tests.fixtures_trust import decide

__all__ = ["every_hour", "town_halls"]

HOUR_S = 3600.0
JUMPS = [10 * HOUR_S, -10 * HOUR_S, 2 * 86400.0, -0.9 * 86400.0]

pytestmark = pytest.mark.usefixtures("town_halls")


def looked(passed: float, moved: int = 0) -> None:
    """So many minutes after the beginning the worker looks."""
    with later(minutes=passed):
        assert whole(staging.tick()) == moved


@pytest.mark.parametrize("jump_s", JUMPS)
def test_a_jump_is_no_trial_and_holds_none_up(system: Actor, jump_s: float) -> None:
    decision = decide(system, strength="weak")
    looked(0)
    looked(10)
    with clock.jumped(jump_s):
        looked(11)
        looked(14)
        assert Decision.objects.get().state == "observed"
        looked(17, moved=1)  # 15 minutes, of which the one around the jump did not count
        assert Decision.objects.get().state == "canary"
        looked(40)
    looked(41)  # set right again: a jump, too
    looked(46)
    looked(50, moved=1)
    decision.refresh_from_db()
    assert decision.state == "active"


def test_a_jump_among_many_that_are_looked_at_is_no_trial(system: Actor) -> None:
    """Others of the lane have their turn between two, so that a long look goes on for minutes."""
    for number in range(3 * ENDS_AT_ONCE):
        decide(system, normalise("domain", f"site-{number}.example.net"), strength="weak")
    looked(0)
    with later(minutes=1):
        steps = staging.tick()
        next(steps)
        with clock.jumped(10 * HOUR_S):
            assert whole(steps) == 0


@pytest.mark.parametrize("jump_s", JUMPS)
def test_what_is_decided_after_a_jump_and_before_the_next_look_begins_then(
    system: Actor, jump_s: float
) -> None:
    decide(system, strength="weak")
    looked(0)
    Decision.objects.all().delete()
    with clock.jumped(jump_s):
        decide(system, strength="weak")
        looked(0.05)
        looked(14)
        looked(16, moved=1)


def test_a_start_of_the_machine_counts_nothing_while_it_was_off(
    system: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide(system, strength="weak")
    looked(0)
    looked(10)
    monkeypatch.setattr(clock, "boot", lambda: "another start")
    monkeypatch.setattr(clock, "steady_s", lambda: clock.epoch() - started)
    with later(hours=9, minutes=50):
        started = clock.epoch() - 30.0
    looked(600)
    looked(604)
    looked(606, moved=1)


def test_a_clock_that_nobody_can_believe_moves_nothing_until_it_is_right(system: Actor) -> None:
    decide(system, strength="weak")
    looked(0)
    looked(10)
    with clock.jumped(60 * 86400):
        looked(12)
        looked(90)
        assert Decision.objects.get().state == "observed"
    looked(91, moved=1)


def test_small_steps_of_a_clock_that_is_kept_right_are_time(system: Actor) -> None:
    decide(system, strength="weak")
    looked(0)
    with clock.jumped(4.0):
        looked(10)
        looked(15.5, moved=1)
    assert StageClock.objects.count() == 1


def test_a_jump_ends_no_question_to_a_person(system: Actor) -> None:
    one = decide(system, strength="weak")
    one.enter(Decision.State.REVIEW)
    one.expires_at = clock.now() + timedelta(hours=1)
    one.save()
    assert staging.lapse_unanswered() == 0
    with later(hours=2):
        assert staging.lapse_unanswered() == 0  # over, but nobody had a day to answer
    with later(hours=2), clock.jumped(3 * 86400):
        assert staging.lapse_unanswered() == 0
        with later(hours=23):
            assert staging.lapse_unanswered() == 1


def test_a_decision_in_force_is_watched_for_its_whole_hour_whatever_the_clock_says(system: Actor) -> None:
    decision = decide(system, strength="weak")
    looked(16, moved=1)
    looked(47, moved=1)
    decision.refresh_from_db()
    assert decision.state == "active" and decision.tried_s == 0.0
    looked(48)
    with clock.jumped(3 * HOUR_S):
        looked(60)
        with later(minutes=69):
            for owner in decision.canary_communes:
                staging.note_effect(decision_id=decision.id, collectivite_id=owner, blocked_out=5)
        looked(70, moved=1)
    decision.refresh_from_db()
    assert decision.state == "review"


def test_working_hours_are_those_of_the_time_in_which_they_were_worked(system: Actor, settings: Any) -> None:
    """Friday, 17:55, five minutes of work; then the clock says Monday 10:00 for what was a second."""
    from dataclasses import replace

    settings.BEFFROI = replace(settings.BEFFROI, work_begins_h=8, work_ends_h=18)
    friday = datetime.fromisoformat("2026-12-04T17:55:00+01:00")
    with clock.shifted((friday - clock.now()).total_seconds()):
        with_boxes(["col_x"])
        decide(system, strength="weak")
        looked(0)
        looked(5)
        jump_s = (datetime.fromisoformat("2026-12-07T10:00:00+01:00") - clock.now()).total_seconds() - 300
        with clock.jumped(jump_s):
            looked(5.1)
            looked(14)
            looked(15.5, moved=1)


def test_a_clock_set_a_day_forward_and_back_ends_nothing_early_and_nothing_late(system: Actor) -> None:
    decision = decide(system)
    lives_s = (decision.expires_at - clock.now()).total_seconds()
    assert actions.expire_due() == 0
    with clock.jumped(lives_s + 86400):
        assert actions.expire_due() == 0
        with later(minutes=59):
            assert actions.expire_due() == 0
    assert actions.expire_due() == 0
    with later(seconds=lives_s + 1):
        assert actions.expire_due() == 1


def test_what_is_decided_while_the_clock_is_ahead_lasts_as_long_as_ever(system: Actor) -> None:
    clock.paced()
    with clock.jumped(86400):
        decide(system, ttl_s=3600)
    with later(minutes=59):
        assert actions.expire_due() == 0
    with later(minutes=61):
        assert actions.expire_due() == 1


def test_a_clock_that_stays_ahead_for_an_hour_is_right(system: Actor) -> None:
    decision = decide(system)
    lives_s = (decision.expires_at - clock.now()).total_seconds()
    assert actions.expire_due() == 0
    with clock.jumped(lives_s):
        assert actions.expire_due() == 0
        with later(minutes=61):
            assert actions.expire_due() == 1
