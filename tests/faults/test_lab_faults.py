"""Faults while the département runs: killed processes, a cut box, a bad policy. Nothing is lost, nothing opens."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from beffroi_lab import campaign, plan
from beffroi_lab.doors import Doors
from beffroi_lab.plan import ATTACKER_LANDING, ATTACKER_OTHER, INNOCENT
from beffroi_lab.report import Report
from beffroi_lab.running import wait_until
from beffroi_lab.scenario import Scenario
from beffroi_lab.world import World, world

from tests.waiting import PATIENCE_S

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.slow]


@pytest.fixture(scope="module")
def made() -> Iterator[World]:
    with world(plan.make(3), [campaign.load(campaign.choose(None)[0])], heartbeat_s=2) as running:
        yield running


def _opens(made: World, letter: str, address: str) -> bool:
    return bool(made.hands[f"lan{letter}"].ask("tcp", address=address, port=443, timeout_s=0.7)["ok"])


def _block(made: World, address: str) -> str:
    answer = made.centre.ask("block", kind="ip", value=address)
    assert answer["ok"], answer
    return str(answer["decision_id"])


def _enforced(made: World, decision: str, boxes: int, limit_s: float = 20) -> dict[str, Any]:
    return made.centre.ask(
        "enforced", decision_ids=[decision], boxes_wanted=boxes, ended=False, limit_s=limit_s
    )


@pytest.fixture
def blocked(made: World) -> Iterator[str]:
    """The landing address blocked everywhere, and free again afterwards."""
    decision = _block(made, ATTACKER_LANDING.v4)
    assert _enforced(made, decision, 3)["ok"]
    yield decision
    made.centre.ask("withdraw", decision_id=decision)
    assert wait_until(lambda: _opens(made, "A", ATTACKER_LANDING.v4), PATIENCE_S)


def test_the_scenario_holds_when_mailgate_is_killed_before_the_mail_arrives(made: World) -> None:
    """First: what others here take back singly, a name that leads there does not block again."""
    old = made.centre.kill("mailgate")
    assert wait_until(lambda: made.centre.pid_of("mailgate") not in (0, old), PATIENCE_S)
    report = Report()
    Scenario(made, made.lures[0], report, browsers=False).run()
    assert report.failures == []


def test_a_killed_agent_leaves_the_deny_list_in_the_kernel_and_catches_up(made: World, blocked: str) -> None:
    box = made.boxes["A"]
    box.kill_agent()
    assert not _opens(made, "A", ATTACKER_LANDING.v4)
    assert _opens(made, "A", INNOCENT.v4)
    while_dead = _block(made, ATTACKER_OTHER.v4)
    box.start_agent()
    assert _enforced(made, while_dead, 3)["ok"]
    assert not _opens(made, "A", ATTACKER_LANDING.v4)
    made.centre.ask("withdraw", decision_id=while_dead)


def test_a_cut_box_keeps_its_list_and_catches_up_when_the_link_is_back(made: World, blocked: str) -> None:
    made.network.cut("C", down=True)
    try:
        missed = _block(made, ATTACKER_LANDING.v6)
        assert _enforced(made, missed, 2)["ok"]
        assert not _opens(made, "A", ATTACKER_LANDING.v6)
        time.sleep(6)
    finally:
        made.network.cut("C", down=False)
    assert not _opens(made, "C", ATTACKER_LANDING.v4)
    assert _enforced(made, missed, 3, limit_s=PATIENCE_S)["ok"]
    assert not _opens(made, "C", ATTACKER_LANDING.v6)
    made.centre.ask("withdraw", decision_id=missed)


def test_a_bad_policy_is_rolled_back_and_never_a_deny_entry(made: World, blocked: str) -> None:
    commune = made.boxes["B"].commune
    before = made.boxes["B"].status()["policy_version"]
    bad = made.centre.ask("set_policy", domain=commune.domain, changes={"mode": "bridge"})["version"]
    assert wait_until(lambda: made.boxes["B"].status().get("rolled_back") == bad, PATIENCE_S)
    assert made.boxes["B"].status()["policy_version"] == before
    assert not _opens(made, "B", ATTACKER_LANDING.v4)
    assert _opens(made, "B", INNOCENT.v4)
    told = wait_until(lambda: bool(made.centre.ask("facts", kind="policy_rolled_back")["facts"]), PATIENCE_S)
    assert told, "the centre did not hear of the rollback"


def test_a_killed_stream_comes_back_and_delivers_what_was_decided_meanwhile(made: World) -> None:
    old = made.centre.kill("stream")
    decision = _block(made, ATTACKER_OTHER.v4)
    assert _enforced(made, decision, 3, limit_s=PATIENCE_S)["ok"]
    assert made.centre.pid_of("stream") not in (0, old)
    made.centre.ask("withdraw", decision_id=decision)


def test_mail_flows_while_mailgate_is_down(made: World) -> None:
    doors, people = Doors(made), made.plan.people
    doors.open_mailboxes()
    old = made.centre.kill("mailgate")
    mail = made.campaign(made.lures[0]).first(people[0].email)
    assert doors.send(mail)["ok"]
    assert wait_until(lambda: doors.where([mail]), PATIENCE_S)
    assert wait_until(lambda: made.centre.pid_of("mailgate") not in (0, old), PATIENCE_S)
