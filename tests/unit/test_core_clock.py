"""The pace by which decisions end: which steps of the wall it follows."""

from __future__ import annotations

from beffroi.lib.clock import BELIEVED_AFTER_S, JUMP_S, Pace

WALL, DAY_S = 1_800_000_000.0, 86400.0


def test_corrections_and_steps_back_are_followed_at_once() -> None:
    pace = Pace()
    assert pace.epoch(WALL, 100.0) == WALL
    assert pace.epoch(WALL + 10 + JUMP_S, 110.0) == WALL + 10 + JUMP_S
    assert pace.epoch(WALL - DAY_S, 120.0) == WALL - DAY_S


def test_a_jump_forward_is_followed_after_an_hour_in_which_the_wall_stood_by_it() -> None:
    pace = Pace()
    pace.epoch(WALL, 0.0)
    assert pace.epoch(WALL + DAY_S + 1, 1.0) == WALL + 1
    assert pace.epoch(WALL + 9 * DAY_S + 1800, 1800.0) == WALL + 1800  # another jump: the hour begins anew
    last_s = 1800 + BELIEVED_AFTER_S
    assert pace.epoch(WALL + 9 * DAY_S + last_s - 1, last_s - 1) == WALL + last_s - 1
    assert pace.epoch(WALL + 9 * DAY_S + last_s, last_s) == WALL + 9 * DAY_S + last_s


def test_a_clock_that_was_set_right_again_leaves_no_trace() -> None:
    pace = Pace()
    pace.epoch(WALL, 0.0)
    pace.epoch(WALL + DAY_S + 60, 60.0)
    assert pace.epoch(WALL + 120, 120.0) == WALL + 120
    assert pace.epoch(WALL + DAY_S + 3700, 3700.0) == WALL + 3700
