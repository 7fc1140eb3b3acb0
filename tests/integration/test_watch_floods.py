"""One commune, or one box, that tells very much: the others' sightings do not wait for it."""

from __future__ import annotations

import secrets
import threading

import pytest
from beffroi.core.decisions.models import Decision
from beffroi.core.events import outbox, running
from beffroi.core.events.registry import consumers
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.watch import actions, reputation
from beffroi.watch.models import Campaign, Sighting
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from tests.conftest import Commune
from tests.fixtures_traps import SCANNER, trap
from tests.fixtures_watch import FAIL, HOST, URL, NameServer, Report, active, campaign, names, report

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


def test_a_person_opens_so_many_campaigns_an_hour_and_the_rest_is_kept_beside(
    report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script at the button: each new campaign costs everybody a tenth of a second."""
    monkeypatch.setattr(reputation, "NEW_CAMPAIGNS_AN_HOUR", 5)
    for number in range(8):
        report("col_a", "per_1", indicators=[["sha256", f"{number:064x}"]])
    assert (Campaign.objects.count(), Sighting.objects.count()) == (5, 8)
    report("col_a", "per_2", indicators=[["sha256", f"{7:064x}"]])
    assert Campaign.objects.count() == 6, "a colleague is heard"


def _queries_of_a_trap(commune: str, **what: str) -> int:
    with CaptureQueriesContext(connection) as asked:
        trap(commune, **what)
    return len(asked)


def test_a_stranger_who_rattles_at_all_town_halls_is_asked_about_as_if_at_two(names: NameServer) -> None:
    """Blocked, and where it cannot be: others' decisions wait for each of its hundreds of sightings."""
    for spared in (SCANNER, "1.1.1.1"):
        trap("col_1", address=spared)
        trap("col_2", address=spared)
        few = _queries_of_a_trap("col_3", address=spared)
        for number in range(4, 30):
            trap(f"col_{number}", address=spared)
        assert _queries_of_a_trap("col_30", address=spared) <= few
    assert Campaign.objects.get(state="decided").communes == 30


def test_what_is_blocked_for_a_while_yet_is_counted_and_weighed_with_the_next_tenth(
    names: NameServer,
) -> None:
    trap("col_1")
    trap("col_2")
    made = Decision.objects.get()
    trap("col_3")
    made.refresh_from_db()
    assert (made.evidence["communes"], campaign().communes) == (2, 3)
    with clock.shifted(1800):
        trap("col_4")
    before = made.expires_at
    made.refresh_from_db()
    assert made.evidence["communes"] == 4
    assert before is not None
    assert made.expires_at is not None
    assert made.expires_at > before


def test_what_a_person_took_back_is_weighed_at_once(names: NameServer, administrator: Actor) -> None:
    """It is in force nowhere: that others count it only would hide it from whoever looks."""
    trap("col_1")
    trap("col_2")
    actions.undo_campaign(actor=administrator, campaign=campaign())
    trap("col_3")
    assert (active(), campaign().state, campaign().communes) == (set(), "revoked", 3)


def _found_in_the_coffre(commune: Commune, count: int) -> None:
    """Files that a scanner knows by signature, each another one, as the process filescan tells them."""
    with transaction.atomic():
        for _ in range(count):
            told = {
                "sha256": secrets.token_hex(32),
                "code": "virus",
                "names": ["Sality"],
                "files": 1,
                "versions": 1,
            }
            outbox.publish("drive:found", told, collectivite_id=commune.id)


def test_a_report_waits_for_no_infected_disk_of_another_commune(
    names: NameServer, beaune: Commune, nuits: Commune, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A virus that lies in each program of a PC that synchronises, or who uploads such: thousands of files, and each
    a decision."""
    run_pending("main")
    _found_in_the_coffre(beaune, 4)
    running._guarded(consumers()["drive.sightings"], threading.Event())
    with transaction.atomic():
        outbox.publish(
            "sighting:reported",
            {
                "sighting_id": "sgt_of_nuits",
                "detector": "user_report",
                "door": "mail",
                "collectivite_id": nuits.id,
                "person_id": nuits.agent.id,
                "seen_at": clock.epoch_s(),
                "indicators": [["url", URL]],
                "evidence": FAIL,
            },
        )
    monkeypatch.setattr(running, "TURN_S", 0.0)  # of one event
    running._guarded(consumers()["watch.sightings"], threading.Event())
    assert [one.id for one in Sighting.objects.all()] == ["sgt_of_nuits"]
    run_pending("main")
    assert Decision.objects.filter(kind="sha256").count() == 4


def test_of_an_infected_disk_the_first_files_are_told_to_all_and_the_rest_is_held_there(
    names: NameServer, beaune: Commune, nuits: Commune, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reputation, "NEW_CAMPAIGNS_AN_HOUR", 5)
    _found_in_the_coffre(beaune, 8)
    run_pending("main")
    assert (Decision.objects.count(), Sighting.objects.count()) == (5, 8)
    _found_in_the_coffre(nuits, 1)
    run_pending("main")
    assert Decision.objects.count() == 6
    with clock.shifted(3601):
        _found_in_the_coffre(beaune, 1)
        run_pending("main")
    assert Decision.objects.count() == 7


def test_boxes_and_files_sightings_wait_for_themselves() -> None:
    """A turn of each consumer after the other: what a person reports has its own."""
    taking = {
        kind: one.name for one in consumers().values() for kind in one.kinds if kind.startswith("sighting:")
    }
    assert taking == {
        "sighting:reported": "watch.sightings",
        "sighting:from_box": "watch.box_sightings",
        "sighting:from_file": "watch.file_sightings",
    }
