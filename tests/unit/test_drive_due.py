"""What waits for its turn: nothing twice, nothing before its time, and a busy one keeps no other waiting."""

from __future__ import annotations

from beffroi.drive.due import Due
from beffroi.lib import clock


def test_what_failed_has_its_turn_after_its_time_and_at_once_where_it_is_told_again() -> None:
    due = Due()
    assert due.wait_s() is None and due.first() is None
    due.after("a", 60.0)
    due.after("a", 600.0)
    due.after("b", 60.0)
    assert due.first() is None and 0 < due.wait_s() <= 60.0
    due.now("b")
    assert (due.first(), due.first()) == ("b", None)
    with clock.shifted(61.0):
        assert due.wait_s() == 0.0
        assert (due.first(), due.first(), due.wait_s()) == ("a", None, None)


def test_one_that_is_told_again_and_again_comes_after_those_that_waited() -> None:
    due = Due()
    for one in ("busy", "calm", "busy"):
        due.now(one)
    assert due.first() == "busy"
    due.now("busy")
    assert (due.first(), due.first(), due.first()) == ("calm", "busy", None)
