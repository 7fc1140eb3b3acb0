"""The box as a transparent bridge: the same rules over br_netfilter."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from beffroi_protocol.facts import LookBack, Sighting

from tests.box_watching import read_by_the_box
from tests.town_hall import TownHall, good_policy, needs_network
from tests.town_hall_network import (
    ECHO_PORT,
    EVIL,
    EVIL6,
    GOOD,
    LAN,
    LISTED,
    NET,
    REFUSED,
    UNLISTED,
    WAN_BOX,
    connect,
    connects,
    echoes,
    look_up,
    socket_in,
)
from tests.waiting import until

pytest_plugins = ["tests.fixtures_box"]
pytestmark = needs_network


@pytest.fixture(scope="module")
def town_hall_options() -> dict[str, Any]:
    if not Path("/proc/sys/net/bridge").exists():
        pytest.skip("needs br_netfilter")
    return {"bridge": True}


@pytest.mark.parametrize("evil", [EVIL, EVIL6])
def test_a_bridge_refuses_and_releases_an_address_and_cuts_its_flows(hall: TownHall, evil: str) -> None:
    flow = connect(LAN, evil)
    assert flow is not None
    with flow:
        ids = hall.block(evil)
        assert not echoes(flow)
    assert not connects(LAN, evil) and connects(LAN, GOOD)
    hall.unblock(*ids)
    assert connects(LAN, evil)


def test_a_bridge_lets_nothing_in_from_a_blocked_address(hall: TownHall) -> None:
    def comes_in() -> bool:
        with socket_in(NET, socket.AF_INET, socket.SOCK_STREAM) as client:
            client.bind((EVIL, 0))
            return client.connect_ex((hall.pc[0], ECHO_PORT)) == 0

    assert comes_in()
    ids = hall.block(EVIL)
    assert not comes_in()
    assert not comes_in(), "a repetition, refused before it is a connection"
    hall.unblock(*ids)
    assert comes_in(), "the remembered attempt blocks nobody by itself"


def test_a_bridge_redirects_names_to_the_box_and_refuses_listed_ones(hall: TownHall) -> None:
    hall.block(LISTED)
    assert look_up(LAN, LISTED, GOOD) == REFUSED, "whatever resolver the PC asks"
    assert look_up(LAN, UNLISTED, GOOD) == 0
    assert look_up(LAN, LISTED, WAN_BOX) == REFUSED


def facts(hall: TownHall, kind: type[Sighting | LookBack]) -> list[Any]:
    return [fact for fact in list(hall.centre.facts.values()) if isinstance(fact, kind)]


def test_a_bridge_has_traps_on_both_sides_and_answers_new_entries(hall: TownHall) -> None:
    centre = hall.centre
    version = centre.set_policy(good_policy(bridge=True, honeyports=(23,)))
    until(lambda: centre.policy_versions[-1] == version, f"not proved: {hall.log()}")
    with socket_in(NET, socket.AF_INET, socket.SOCK_STREAM) as client:
        client.bind((EVIL, 0))
        assert client.connect_ex((hall.pc[0], 23)) == 0, "the box answers in the place of a PC"
    with socket_in(LAN, socket.AF_INET, socket.SOCK_STREAM) as client:
        assert client.connect_ex((WAN_BOX, 23)) == 0
    until(lambda: len(facts(hall, Sighting)) == 2, "not told")
    told = {(f.detector, f.evidence["side"], len(f.indicators)) for f in facts(hall, Sighting)}
    assert told == {("honeyport", "wan", 1), ("honeyport", "lan", 0)}
    assert connects(LAN, GOOD)
    read_by_the_box(GOOD)
    (entry_id,) = hall.block(GOOD)
    until(lambda: [f for f in facts(hall, LookBack) if f.entry_id == entry_id], "nothing is said of before")
    assert hall.pc[0] not in repr(centre.facts)
