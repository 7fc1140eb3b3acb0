"""An opening from the internet: one machine, one port, one source, an end, with real packets through a router and a
bridge."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from beffroi_protocol.messages import InboundRule
from beffroi_protocol.openings import Opening

from tests.box_watching import from_net, hall, policy
from tests.town_hall import TownHall, needs_network
from tests.town_hall_network import ECHO_PORT, EVIL, GOOD, LAN, NET, WAN_BOX, connects, echoes, socket_in
from tests.waiting import until

__all__ = ["hall"]
pytest_plugins = ["tests.fixtures_box"]
pytestmark = needs_network
LONG_S = 3600


@pytest.fixture(scope="module", params=["router", "bridge"])
def town_hall_options(request: pytest.FixtureRequest) -> dict[str, Any]:
    if request.param == "bridge" and not Path("/proc/sys/net/bridge").exists():
        pytest.skip("needs br_netfilter")
    return {"bridge": request.param == "bridge"}


def opening(hall: TownHall, life_s: int = LONG_S, **values: Any) -> Opening:
    made = Opening("tcp", ECHO_PORT, hall.pc[0], (f"{GOOD}/32",), int(time.time()) + life_s)
    return msgspec.structs.replace(made, **values)


def opened(hall: TownHall, *openings: Opening, **also: Any) -> None:
    """A policy in force that lets in nothing else but ``also``."""
    mode = "bridge" if hall.resolver == WAN_BOX else "router"
    policy(hall, mode=mode, inbound_tcp_ports=(), openings=openings, **also)


def begun(source: str, to: str) -> socket.socket:
    """A connection that answers."""
    client = socket_in(NET, socket.AF_INET, socket.SOCK_STREAM)
    client.bind((source, 0))
    client.connect((to, ECHO_PORT))
    assert echoes(client)
    return client


@pytest.fixture
def way(hall: TownHall) -> str:
    """The address that whoever comes in writes to."""
    return WAN_BOX if hall.resolver != WAN_BOX else hall.pc[0]


def test_the_named_source_reaches_the_machine_and_nobody_else_does(hall: TownHall, way: str) -> None:
    opened(hall)
    assert not from_net(GOOD, way, ECHO_PORT, timeout_s=0.5)
    opened(hall, opening(hall))
    with begun(GOOD, way) as client:
        assert not from_net(EVIL, way, ECHO_PORT, timeout_s=0.5)
        assert not from_net(GOOD, way, ECHO_PORT + 1, timeout_s=0.5)
        assert connects(LAN, GOOD), "what the LAN begins is as before"
        assert echoes(client)
        hall.block(GOOD)
        assert not echoes(client), "what is blocked is so through an opening, too"


def test_it_ends_by_itself_for_what_runs_too_and_while_nobody_watches(hall: TownHall, way: str) -> None:
    opened(hall, opening(hall, life_s=20))
    with begun(GOOD, way) as client:
        hall.kill("agent")
        try:
            until(lambda: not echoes(client), "what runs is not cut at the end")
            assert not from_net(GOOD, way, ECHO_PORT, timeout_s=0.5)
            assert connects(LAN, GOOD)
        finally:
            hall.start_agent()
            hall.connected()


def test_an_opening_that_is_taken_back_cuts_what_runs(hall: TownHall, way: str) -> None:
    other = opening(hall, port=ECHO_PORT + 1)
    opened(hall, other, opening(hall))
    with begun(GOOD, way) as client:
        opened(hall, other, opening(hall))
        assert echoes(client), "another policy that has it cuts nothing"
        opened(hall, other)
        assert not echoes(client)
        assert not from_net(GOOD, way, ECHO_PORT, timeout_s=0.5)


def test_its_end_cuts_what_another_rule_would_let_in_too(hall: TownHall, way: str) -> None:
    """Whose address always passes, or on a port that is open: without the opening a router leads them nowhere."""
    for also in ({"allow_addresses": (GOOD,)}, {"inbound": (InboundRule("tcp", ECHO_PORT),)}):
        opened(hall, opening(hall), **also)
        with begun(GOOD, way) as client:
            opened(hall, **also)
            assert not echoes(client)
