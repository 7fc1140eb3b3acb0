"""A connection that the bulk lists let pass is not looked up again until they change: then it is cut, in both modes."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from beffroi_protocol.indicators import Kind, normalise
from beffroi_protocol.messages import Action, BulkList, Entry

from tests.town_hall import TownHall, needs_network
from tests.town_hall_network import BOX, EVIL, EVIL6, GOOD, LAN, connect, connects, echoes, inside, run
from tests.waiting import until

pytest_plugins = ["tests.fixtures_box"]
pytestmark = needs_network
OTHERS = ("45.99.1.1", "45.99.1.2", "2a0e:b107:99::1")


@pytest.fixture(scope="module", params=["router", "bridge"])
def town_hall_options(request: pytest.FixtureRequest) -> dict[str, Any]:
    if request.param == "bridge" and not Path("/proc/sys/net/bridge").exists():
        pytest.skip("needs br_netfilter")
    return {"bridge": True} if request.param == "bridge" else {}


def addresses(hall: TownHall, *values: str) -> BulkList:
    return hall.centre.bulk_list("bad-hosts", Kind.IP, {*OTHERS, *values})


@contextmanager
def flow(address: str) -> Iterator[socket.socket]:
    opened = connect(LAN, address)
    assert opened is not None
    with opened:
        assert echoes(opened)
        yield opened


def nft(*argv: str) -> str:
    return run(*inside(BOX, "nft", *argv))


def set_in_force(version: int) -> str:
    found = re.search(rf"@(bulk{version}_\d+_[ab])", nft("list", "chain", "inet", "beffroi", "bulk_in"))
    assert found is not None
    return found[1]


@pytest.mark.parametrize("evil", [EVIL, EVIL6])
def test_a_flow_that_passed_is_not_looked_up_again_and_is_cut_by_the_next_exchange(
    hall: TownHall, evil: str
) -> None:
    hall.listed(addresses(hall))
    with flow(evil) as passed, flow(GOOD) as good:
        name = set_in_force(6 if ":" in evil else 4)
        # The proof that it is so: what nobody loaded is not seen by what passed, but by what begins.
        nft("flush", "set", "inet", "beffroi", name)
        nft("add", "element", "inet", "beffroi", name, f"{{ {evil} }}")
        assert echoes(passed) and not connects(LAN, evil)
        hall.listed(addresses(hall, evil))
        assert not echoes(passed) and echoes(good) and not connects(LAN, evil)
    hall.unlisted("bad-hosts")
    assert connects(LAN, evil)


def test_an_urgent_block_cuts_what_the_lists_let_pass(hall: TownHall) -> None:
    hall.listed(addresses(hall))
    with flow(EVIL) as passed:
        hall.block(EVIL)
        assert not echoes(passed)


def test_a_flow_is_cut_by_an_exchange_after_a_restart_of_the_agent(hall: TownHall) -> None:
    hall.listed(addresses(hall))
    with flow(EVIL) as passed:
        hall.kill("agent")
        hall.start_agent()
        hall.connected()
        until(lambda: hall.status().get("lists") == 1, "not loaded")
        assert echoes(passed)
        hall.listed(addresses(hall, EVIL))
        assert not echoes(passed)


def test_what_passed_a_set_that_was_emptied_by_hand_is_cut_when_it_is_filled_again(hall: TownHall) -> None:
    hall.listed(addresses(hall, EVIL))
    nft("flush", "set", "inet", "beffroi", set_in_force(4))
    with flow(EVIL) as passed:
        hall.listed(addresses(hall, EVIL, "45.99.1.3"))
        assert not echoes(passed)


def test_what_passed_while_the_rules_were_gone_is_cut_when_they_are_back(hall: TownHall) -> None:
    hall.listed(addresses(hall))
    with flow(EVIL) as passed:
        nft("delete", "table", "inet", "beffroi")
        hall.block("45.99.1.9")  # the agent meets the loss, and loads rules and lists
        until(lambda: "bulk4" in nft("list", "chain", "inet", "beffroi", "bulk_in"), "not loaded again")
        assert echoes(passed)
        hall.listed(addresses(hall, EVIL))
        assert not echoes(passed)


def test_an_exception_that_ends_cuts_what_it_let_pass_without_an_exchange(hall: TownHall) -> None:
    hall.listed(addresses(hall, EVIL))
    spared = Entry("nev_1", normalise(Kind.IP, EVIL), Action.ALLOW, hall.centre.now() + 3600)
    version = hall.centre.publish(spared)
    until(lambda: hall.centre.enforced(version), hall.log())
    with flow(EVIL) as passed:
        version = hall.centre.publish(removed=(spared.id,))
        until(lambda: hall.centre.enforced(version), hall.log())
        assert not echoes(passed)
