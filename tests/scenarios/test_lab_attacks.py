"""Real attacks in the laboratory: each is seen, decided, refused everywhere, explained and undone, and nobody's
browsing stops."""

from __future__ import annotations

import pytest
from beffroi_lab import attacks, plan
from beffroi_lab.report import Report
from beffroi_lab.world import world

from tests.waiting import PATIENCE_S

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.slow]

PARTITION_S = 5.0


def test_attacks_are_seen_blocked_explained_and_undone_while_everyone_browses() -> None:
    report = Report(say=print)
    with world(plan.make(3), [], history_days=0, local_hour=attacks.NIGHT_HOUR) as made:
        attacks.play(made, report, partition_s=PARTITION_S, longest_gap_ms=PATIENCE_S * 1000)
    assert report.failures == []
    shown = report.figures["attacks"]
    assert set(shown) == {"outside_addresses", *attacks.STEPS, *attacks.LEAKS}
    assert all(one["seen_ms"] is not None and one["explained"] for one in shown.values())
    listed = shown["hosts_file"]
    assert listed["refused"]["seen"] and listed["undone"] and "une liste d’attaquants" in listed["explained"]
    assert report.figures["catch_up_ms"] is not None
    assert report.figures["pages_opened"] > 100
    assert report.figures["foreign_packets"] == 0
