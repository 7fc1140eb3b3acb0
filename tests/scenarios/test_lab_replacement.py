"""A dead box is replaced with a code and a fingerprint, a stolen one shut out: real agents, the console's own pages."""

from __future__ import annotations

import pytest
from beffroi_lab import plan, replacement
from beffroi_lab.report import Report
from beffroi_lab.world import world

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.slow]


def test_a_box_is_replaced_and_another_revoked_on_the_console() -> None:
    report = Report(say=print)
    with world(plan.make(3), [], history_days=0) as made:
        replacement.play(made, report)
    assert report.failures == []
    assert set(report.figures) >= {"replacement_s", "revoked_ms"}  # shown with -s
