"""What a box does when something breaks: killed, cut off, half-written, no disk, flushed rules."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from beffroi_protocol.facts import FlowsBlocked, NamesRefused

from tests.town_hall import TownHall, entry, needs_network
from tests.town_hall_network import (
    BOX,
    EVIL,
    EVIL6,
    GOOD,
    LAN,
    LAN_BOX,
    LISTED,
    REFUSED,
    connects,
    inside,
    look_up,
    run,
)
from tests.waiting import PATIENCE_S, until

pytest_plugins = ["tests.fixtures_box"]
pytestmark = needs_network


@pytest.fixture(scope="module")
def town_hall_options() -> dict[str, Any]:
    return {"state_mib": 8}


FLUSH_S = 1.5
"""dnsdist writes what it has to tell once a second."""


def saved(hall: TownHall) -> None:
    """Wait until the last enforced version is on disk."""
    path = hall.state / "tables" / "box.state"
    wanted = f'"version":{hall.centre.version},'
    until(lambda: path.exists() and wanted in path.read_text(), "the table is not saved")


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_a_killed_agent_leaves_all_rules_and_goes_on_where_it_was(hall: TownHall) -> None:
    (first, _) = hall.block(EVIL, LISTED)
    saved(hall)
    hall.kill("agent")
    assert not connects(LAN, EVIL) and connects(LAN, GOOD)
    assert look_up(LAN, LISTED, LAN_BOX) == REFUSED
    hall.centre.publish(entry(EVIL6, hall.centre.now() + 3600), removed=(first,))
    hall.start_agent()
    hall.connected()
    assert connects(LAN, EVIL) and not connects(LAN, EVIL6)
    assert look_up(LAN, LISTED, LAN_BOX) == REFUSED


def test_refused_names_asked_for_while_the_agent_is_away_are_told_by_the_next_one(hall: TownHall) -> None:
    """One question every tenth of a second, each for another listed name, before, while and after it is away."""
    names = [f"n{number}.colis-suivi.com" for number in range(60)]
    ids = dict(zip(hall.block(*names), names, strict=True))
    asked: dict[str, float] = {}

    def ask(upto: int) -> None:
        while len(asked) < upto:
            name = names[len(asked)]
            asked[name] = time.monotonic()
            assert look_up(LAN, name, LAN_BOX) == REFUSED
            time.sleep(0.1)

    def told() -> set[str]:
        facts = hall.centre.facts.values()
        return {ids[f.entry_id] for f in facts if isinstance(f, NamesRefused) and f.entry_id in ids}

    until(lambda: look_up(LAN, names[0], LAN_BOX) == REFUSED and names[0] in told(), "not told before")
    ask(10)
    until(lambda: told() >= set(names[:10]), "not told before")
    hall.kill("agent")
    killed = time.monotonic()
    ask(30)
    hall.start_agent()
    until(hall.status, "the agent does not start")
    ask(60)
    # What dnsdist wrote to the dead reader is lost: what it gathered in its first second.
    lost = {name for name in names[10:] if asked[name] - killed < FLUSH_S}
    until(lambda: told() >= set(names) - lost, "what was asked while the agent was away is lost")
    assert len(lost) < 20


def test_a_name_that_is_refused_long_after_the_agent_was_replaced_is_told(hall: TownHall) -> None:
    (listed,) = hall.block("retour-colis.com")
    hall.kill("agent")
    hall.start_agent()
    hall.connected()
    time.sleep(2 * FLUSH_S)
    assert look_up(LAN, "retour-colis.com", LAN_BOX) == REFUSED
    until(
        lambda: any(isinstance(f, NamesRefused) and f.entry_id == listed for f in hall.centre.facts.values()),
        "dnsdist told it to the agent that is gone",
    )


def test_a_box_that_starts_without_its_centre_enforces_all_it_knew(hall: TownHall) -> None:
    hall.block(EVIL, LISTED)
    saved(hall)
    hall.kill("agent")
    hall.kill("unbound")
    hall.kill("dnsdist")
    run(*inside(BOX, "nft", "flush", "ruleset"))  # as after a reboot
    urgent = hall.state.parent / "run" / "urgent.cdb"
    urgent.unlink()
    assert connects(LAN, EVIL)
    hall.cut(down=True)
    try:
        hall.start_agent()
        until(hall.status, "the agent does not start")
        assert json_element(EVIL) in hall.elements()["hot4"]
        assert LISTED.partition(".")[0].encode() in urgent.read_bytes()
    finally:
        hall.cut(down=False)
    hall.start_resolver()
    hall.connected()
    assert not connects(LAN, EVIL) and connects(LAN, GOOD)
    assert look_up(LAN, LISTED, LAN_BOX) == REFUSED


def json_element(address: str) -> str:
    return f'"{address}"'


def test_a_box_that_was_cut_off_catches_up(hall: TownHall) -> None:
    (kept,) = hall.block(EVIL)
    hall.cut(down=True)
    try:
        until(lambda: not hall.status()["connected"], "the silence is noticed")
        hall.centre.publish(entry(EVIL6, hall.centre.now() + 3600), removed=(kept,))
        hall.centre.publish(entry(LISTED, hall.centre.now() + 3600))
        assert json_element(EVIL) in hall.elements()["hot4"], "what it knew holds"
    finally:
        hall.cut(down=False)
    hall.connected()
    assert connects(LAN, EVIL) and not connects(LAN, EVIL6)
    assert look_up(LAN, LISTED, LAN_BOX) == REFUSED


def test_a_line_that_ends_in_its_middle_is_a_lost_connection_like_any_other(hall: TownHall) -> None:
    """Said as such, and with a pause that differs from box to box: hundreds would come back in step."""
    log = hall.state.parent / "agent.log"
    before = len(log.read_text())
    hall.centre.ends_in_a_line = True
    until(
        lambda: "feed" in log.read_text()[before:] or "follow" in log.read_text()[before:], "nothing is said"
    )
    assert "feed: The centre does not answer: the feed was cut" in log.read_text()[before:]
    hall.block(EVIL)


def test_a_half_written_state_is_recognised_and_the_one_before_it_used(hall: TownHall) -> None:
    hall.block(EVIL)
    saved(hall)
    hall.block(EVIL6)
    saved(hall)
    hall.kill("agent")
    for name in ("tables/box.state", "delegations", "policy", "time-floor", "ca.pem"):
        if (path := hall.state / name).exists():
            half(path)
    hall.start_agent()
    hall.connected()
    assert not connects(LAN, EVIL) and not connects(LAN, EVIL6)


def test_without_any_state_of_the_feed_a_snapshot_is_asked(hall: TownHall) -> None:
    hall.block(EVIL)
    saved(hall)
    hall.kill("agent")
    for path in (hall.state / "tables").iterdir():
        half(path)
    hall.start_agent()
    hall.connected()
    assert not connects(LAN, EVIL)


def test_a_full_disk_stops_no_block(hall: TownHall) -> None:
    filler = hall.state / "filler"
    with filler.open("wb") as file:
        try:
            while True:
                os.write(file.fileno(), bytes(4096))
        except OSError:
            pass
    hall.centre.facts.clear()
    (blocked,) = hall.block(EVIL)
    assert not connects(LAN, EVIL)
    found = hall.centre.facts
    until(
        lambda: any(isinstance(f, FlowsBlocked) and f.entry_id == blocked for f in found.values()),
        "facts go on from memory",
    )
    filler.unlink()
    saved(hall)
    until(lambda: not hall.status()["disk_trouble"], "the disk is sound again")
    hall.kill("agent")
    hall.start_agent()
    hall.connected()
    assert not connects(LAN, EVIL)


def test_a_request_to_end_that_another_thread_gets_ends_the_agent(hall: TownHall) -> None:
    hall.block(EVIL)
    agent = hall.processes["agent"]
    *_, thread = sorted(int(one.name) for one in Path(f"/proc/{agent.pid}/task").iterdir())
    assert ctypes.CDLL(None).tgkill(agent.pid, thread, signal.SIGTERM) == 0
    assert agent.wait(PATIENCE_S) == 0
    (hall.state / "status.json").unlink()
    hall.start_agent()
    hall.connected()
    assert not connects(LAN, EVIL)


def test_rules_that_another_program_flushed_come_back_at_the_next_change(hall: TownHall) -> None:
    hall.block(EVIL)
    run(*inside(BOX, "nft", "delete", "table", "inet", "beffroi"))
    assert connects(LAN, EVIL)
    hall.block(EVIL6)
    assert not connects(LAN, EVIL) and not connects(LAN, EVIL6)
