"""Staged updates of a simulated fleet in virtual time: 698 boxes, good and bad releases, boxes that are away."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest
from beffroi.boxes.rollout import (
    ANSWER_S,
    GONE_S,
    PAUSE_S,
    SILENT_S,
    STAGES,
    WATCH_S,
    BoxView,
    Rollout,
    failures,
    stage_of,
    step,
)

T0 = 1_800_000_000
TICK_S = 240
FLEET = 698


class Fleet:
    """``fate``: box number -> outcome, "" for a box that dies; ``away``: numbers that are off until a time."""

    def __init__(
        self, fate: dict[int, str] | str, *, away: dict[int, int] | None = None, seed: int = 1
    ) -> None:
        self.chance = random.Random(seed)
        self.fate = fate
        self.away = away or {}
        self.boxes = {f"box_{n:04d}": BoxView(f"box_{n:04d}", f"col_{n:04d}", T0) for n in range(FLEET)}
        self.rollout = Rollout(7, "col_0042", 0, T0)
        self.now = T0
        self.dead: set[str] = set()
        self.deaf = -1
        self.stopped = ""
        self.done = False
        self.begun: dict[int, int] = {0: T0}

    def outcome(self, box_id: str) -> str:
        number = int(box_id[-4:])
        return self.fate if isinstance(self.fate, str) else self.fate.get(number, "installed")

    def tick(self) -> None:
        self.now += TICK_S
        for box_id, box in self.boxes.items():
            present = box_id not in self.dead and self.away.get(int(box_id[-4:]), 0) <= self.now
            changed = replace(box, last_seen_s=self.now) if present else box
            deaf = int(box_id[-4:]) == self.deaf
            if (
                present
                and changed.asked_s
                and not changed.outcome
                and not deaf
                and self.chance.random() < 0.3
            ):
                told = self.outcome(box_id)
                if told:
                    changed = replace(changed, outcome=told, told_s=self.now)
                else:
                    self.dead.add(box_id)
            self.boxes[box_id] = changed
        found = step(self.rollout, list(self.boxes.values()), self.now)
        if found.stop:
            self.stopped = found.stop
            return
        for box_id in found.ask:
            self.boxes[box_id] = replace(self.boxes[box_id], asked_s=self.now)
        if found.stage != self.rollout.stage:
            assert found.stage == self.rollout.stage + 1
            self.rollout = replace(self.rollout, stage=found.stage, stage_s=self.now)
            self.begun[found.stage] = self.now
        self.done = found.done

    def run(self, hours: int) -> None:
        for _ in range(hours * 3600 // TICK_S):
            if self.stopped or self.done:
                return
            self.tick()

    def asked(self) -> int:
        return sum(bool(box.asked_s) for box in self.boxes.values())


def test_a_good_release_reaches_all_by_stages_with_pauses() -> None:
    fleet = Fleet("installed")
    fleet.run(48)
    assert fleet.done
    assert not fleet.stopped
    assert Counter(box.outcome for box in fleet.boxes.values()) == {"installed": FLEET}
    begun = [fleet.begun[stage] for stage in range(len(STAGES))]
    assert all(later - earlier >= PAUSE_S for earlier, later in pairwise(begun))


@pytest.mark.parametrize("fate", ["rolled_back", "refused", ""])
def test_a_bad_release_stops_at_the_canary_by_itself(fate: str) -> None:
    fleet = Fleet(fate)
    fleet.run(48)
    assert fleet.stopped
    assert fleet.asked() == 1


def test_a_release_that_harms_one_box_in_twenty_stops_before_most_have_it() -> None:
    for seed in range(6):
        chance = random.Random(seed)
        fate = {n: "rolled_back" for n in range(FLEET) if n != 42 and chance.random() < 0.05}
        fleet = Fleet(fate, seed=seed)
        fleet.run(72)
        assert fleet.stopped, seed
        assert fleet.asked() < FLEET / 2, seed


def test_one_broken_box_of_the_last_stage_does_not_stop_the_rest() -> None:
    rollout = Fleet("installed").rollout
    last = next(n for n in range(FLEET) if stage_of(BoxView(f"box_{n:04d}", f"col_{n:04d}", 0), rollout) == 3)
    fleet = Fleet({last: "rolled_back"})
    fleet.run(48)
    assert fleet.done
    assert not fleet.stopped


def test_boxes_that_are_away_block_nothing_and_get_it_when_they_come_back() -> None:
    back = T0 + 40 * 3600
    away = dict.fromkeys(range(100, 150), back)
    fleet = Fleet("installed", away=away)
    fleet.run(39)
    assert fleet.rollout.stage == 3
    assert fleet.asked() == FLEET - 50
    fleet.run(3)
    assert fleet.done
    assert fleet.asked() == FLEET


def test_nobody_is_asked_before_the_canary_unless_it_is_away_for_days() -> None:
    def off_until(back: int) -> Fleet:
        fleet = Fleet("installed", away={42: back})
        fleet.boxes["box_0042"] = replace(fleet.boxes["box_0042"], last_seen_s=T0 - 2 * SILENT_S)
        return fleet

    back = T0 + 20 * 3600
    fleet = off_until(back)
    fleet.run(19)
    assert (fleet.rollout.stage, fleet.asked()) == (0, 0)
    fleet.run(48)
    assert fleet.done and fleet.begun[1] > back
    fleet = off_until(T0 + 1000 * 3600)
    fleet.run(GONE_S // 3600 + 48)
    assert fleet.begun[1] - T0 >= GONE_S and fleet.asked() == FLEET - 1


def test_stages_are_the_same_at_every_look_and_others_at_the_next_release() -> None:
    boxes = [BoxView(f"box_{n:04d}", f"col_{n:04d}", 0) for n in range(FLEET)]
    first, second = (Rollout(number, "col_0042", 0, 0) for number in (7, 8))
    stages = [stage_of(box, first) for box in boxes]
    assert stages == [stage_of(box, first) for box in boxes]
    counts = Counter(stages)
    assert counts[0] == 1
    assert 1 <= counts[1] <= 20
    assert 40 <= counts[2] <= 100
    early = lambda rollout: {box.id for box in boxes if stage_of(box, rollout) in (1, 2)}  # noqa: E731
    assert len(early(first) & early(second)) < len(early(first)) / 2


def test_what_a_person_looked_at_does_not_stop_it_again() -> None:
    box = BoxView("box_0042", "col_0042", T0, asked_s=T0, outcome="rolled_back", told_s=T0 + 60)
    rollout = Rollout(7, "col_0042", 0, T0)
    assert step(rollout, [box], T0 + 120).stop
    resumed = replace(rollout, resumed_s=T0 + 120)
    assert not step(resumed, [box], T0 + 180).stop
    silent = replace(box, outcome="", told_s=0, last_seen_s=T0 + 180)
    assert failures(resumed, [silent], T0 + 181 + SILENT_S) == {"box_0042": "silent"}
    assert failures(replace(rollout, resumed_s=T0 + 200 + SILENT_S), [silent], T0 + GONE_S) == {}


def test_a_town_hall_that_is_switched_off_for_the_night_stops_nothing() -> None:
    rollout = Rollout(7, "col_0042", 0, T0)
    good = BoxView("box_0042", "col_0042", T0 + WATCH_S + 1, T0, "installed", T0 + 300)
    for hours in range(4, 30):
        assert not step(rollout, [good], T0 + hours * 3600).stop
    unheard = BoxView("box_0042", "col_0042", T0 - 60, T0)  # the power went before it heard anything
    assert not step(rollout, [unheard], T0 + 60 * 3600).stop
    assert not step(rollout, [unheard], T0 + 60 * 3600).stage  # a canary that told nothing proves nothing


def test_one_that_dies_of_it_counts_and_a_resume_forgives_it_for_good() -> None:
    dead = BoxView("box_0042", "col_0042", T0 + 200, T0)
    rollout = Rollout(7, "col_0042", 0, T0)
    assert step(rollout, [dead], T0 + 201 + SILENT_S).stop == "1 of 1: silent"
    resumed = replace(rollout, resumed_s=T0 + 3600)
    for now in range(T0 + 3600, T0 + GONE_S, 1800):
        assert not step(resumed, [dead], now).stop
    assert step(resumed, [dead], T0 + PAUSE_S + 1).stage == 1


def test_one_that_is_there_and_never_answers_is_a_failure_after_hours_and_not_a_stall() -> None:
    mute = BoxView("box_0042", "col_0042", T0 + ANSWER_S, T0)
    rollout = Rollout(7, "col_0042", 0, T0)
    assert step(rollout, [mute], T0 + ANSWER_S) == step(rollout, [], T0)
    mute = replace(mute, last_seen_s=T0 + ANSWER_S + 1)
    assert step(rollout, [mute], T0 + ANSWER_S + 1).stop == "1 of 1: unanswered"
    gone = replace(mute, last_seen_s=T0)
    assert step(rollout, [gone], T0 + GONE_S + 1).stop == "1 of 1: unanswered"
    resumed = replace(rollout, resumed_s=T0 + GONE_S)
    assert step(resumed, [mute], T0 + GONE_S + 60).stage == 1
    fleet = Fleet("installed")
    held = next(
        n for n in range(FLEET) if stage_of(BoxView(f"box_{n:04d}", f"col_{n:04d}", 0), fleet.rollout) == 3
    )
    fleet.deaf = held
    fleet.run(60)
    assert fleet.done
    assert not fleet.stopped
