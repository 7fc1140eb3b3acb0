"""One commune, or one box, that tells very much: the others' sightings do not wait for it."""

from __future__ import annotations

from beffroi.watch.models import Sighting

from tests.fixtures_watch import HOST, NameServer, Report, active, campaign, names, report

__all__ = ["names", "report"]


def test_names_that_a_flooding_person_reports_are_not_asked_for_and_a_colleague_s_are(
    report: Report, names: NameServer
) -> None:
    """Each name whose server is silent takes a second of everybody's time."""
    for number in range(22):
        report("col_a", "per_1", indicators=[["url", f"https://slow-{number}.example/x"]])
    assert "slow-0.example" in names.asked
    assert "slow-21.example" not in names.asked
    report("col_a", "per_2")
    assert HOST in names.asked
    report("col_b", "per_3")
    assert ("domain", HOST) in active()


def test_a_box_has_no_names_asked_for(report: Report, names: NameServer) -> None:
    """It knows no links: who took one over does."""
    report("col_a", "", door="packet")
    assert names.asked == []


def test_what_one_tells_again_and_again_is_no_more_work_for_a_campaign(report: Report) -> None:
    for _ in range(35):
        report("col_a", "per_1")
    assert campaign().sightings == 30
    assert Sighting.objects.count() == 35
    report("col_b", "per_2")
    assert ("domain", HOST) in active()
    assert campaign().sightings == 31
