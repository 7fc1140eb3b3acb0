"""The main job while things break at moments that a seed chooses: all is withdrawn and restored all the same."""

from __future__ import annotations

import pytest
from beffroi_lab import campaign, immunity, plan
from beffroi_lab.report import Report
from beffroi_lab.world import world

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.slow]

SEED = 20


def test_killed_processes_and_cut_lines_inside_the_steps_lose_nothing() -> None:
    lure = campaign.load(campaign.choose(None)[0])
    report = Report(say=print)
    with world(plan.make(3), [lure]) as made:
        immunity.play(made, lure, report, browsers=False, faults_seed=SEED)
    assert report.failures == []
    assert len(report.figures["faults"]) > 5
    assert report.figures["delivered"] == report.figures["withdrawn"] == report.figures["restored"] > 3
