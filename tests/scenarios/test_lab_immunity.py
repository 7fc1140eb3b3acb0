"""The main job in the laboratory: a mail to one commune is blocked for all, by every door, and taken back."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from beffroi_lab import campaign, immunity, plan, topology
from beffroi_lab.campaign import Lure
from beffroi_lab.report import Report
from beffroi_lab.scenario import Scenario
from beffroi_lab.world import World, world

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.slow]


def _corpus() -> list[Lure]:
    """One real lure that leads somewhere; without BEFFROI_DATA none."""
    root = os.environ.get("BEFFROI_DATA")
    if not root:
        return []
    paths = sorted((Path(root) / "lures" / "fr-2022-2024").glob("*.eml"))
    return [immunity.first_usable(paths[::-1])]


@pytest.fixture(scope="module")
def made() -> Iterator[World]:
    lures = [campaign.load(path) for path in campaign.choose(None)] + _corpus()
    with world(plan.make(3), lures, browsers=True) as running:
        yield running


@pytest.mark.browser
def test_a_report_in_one_commune_blocks_the_campaign_for_all_and_undo_brings_all_back(made: World) -> None:
    report = Report()
    immunity.play(made, made.lures[0], report)
    assert report.failures == []
    assert report.figures["delivered"] == report.figures["withdrawn"] == report.figures["restored"] > 3
    assert report.figures["protected_refused"] is True
    assert report.figures["audit_verified"] is True
    assert report.figures["foreign_packets"] == 0
    assert report.proofs["pressed_in_browser_A"] is True
    assert report.proofs["enrolled_by_page"] == ["A"]
    assert report.proofs["known_correspondent_spared"] is True


@pytest.mark.corpus
def test_a_real_lure_is_blocked_for_all(made: World) -> None:
    assert len(made.lures) > 3, "BEFFROI_DATA is not set"
    report = Report()
    Scenario(made, made.lures[3], report, browsers=False).run()
    assert report.failures == []
    # A centre with a past needs nobody's word for it, as long as its reporters are believed: every run here is taken
    # back, and from the second time on a report of the same person counts for nothing. So this one comes second.
    assert set(report.figures["decided_by"]) == {"two_communes", "landing_address"}


def test_another_campaign_in_the_same_centre_is_blocked_as_well(made: World) -> None:
    # Two campaigns at the attacker's one address were taken back: lately so, innocent names would seem to live there.
    assert made.centre.ask("age_campaigns", days=31)["aged"] > 2
    report = Report()
    Scenario(made, made.lures[1], report, browsers=False).run()
    assert report.failures == []


def test_leftovers_of_a_killed_run_are_removed_and_a_living_run_is_left_alone(made: World) -> None:
    import subprocess

    dead = f"{topology.PREFIX}4194303-inet"
    subprocess.run(["ip", "netns", "add", dead], check=True)
    assert dead in topology.remove_leftovers()
    assert (topology.NETNS / made.network["inet"].name).exists()
    assert not (topology.NETNS / dead).exists()
