"""Rows of a benchmark."""

from __future__ import annotations

from bench.rows import Row, table


def test_a_row_without_target_is_neither_met_nor_missed() -> None:
    row = Row("work", "ms", 40, peer=4000, peer_name="peer")
    assert row.ratio == 100.0
    assert row.met is None


def test_what_was_not_measured_does_not_meet_its_target() -> None:
    assert Row("work", "ms", None, target=10).met is False
    assert Row("work", "count", 0, target=0).met is True


def test_a_peer_that_did_not_run_says_why() -> None:
    row = Row("work", "ms", 4, peer_name="peer", note="not installed here")
    assert row.ratio is None
    assert "not installed here" in "\n".join(table([row]))
