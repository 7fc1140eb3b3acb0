"""A second machine on the internet's side of a router-mode box, as the operator's own Wi-Fi gives it; real ARP."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from beffroi_box.uplink import STABLE_S, Uplink

from tests.town_hall import TownHall, needs_network
from tests.town_hall_network import BOX, NET, inside, run, socket_in

pytest_plugins = ["tests.fixtures_box"]
pytestmark = needs_network
WIFI, MAC = f"{NET}-wifi", "02:00:00:00:00:50"


@pytest.fixture
def beside(hall: TownHall) -> Iterator[None]:
    """Private addresses on the internet's side, and a machine there that asks for the operator's box."""
    run("ip", "netns", "add", WIFI)
    try:
        for text in (
            f"-n {NET} addr add 192.168.1.1/24 dev n0",
            f"-n {BOX} addr add 192.168.1.2/24 dev wan",
            f"-n {BOX} route replace 192.0.2.0/24 via 192.168.1.1",
            f"-n {NET} link add wifi0 link n0 address {MAC} type macvlan mode bridge",
            f"-n {NET} link set wifi0 netns {WIFI}",
            f"-n {WIFI} addr add 192.168.1.50/24 dev wifi0",
            f"-n {WIFI} link set wifi0 up",
        ):
            run("ip", *text.split())
        yield
    finally:
        # At once: a namespace goes later, and its address on the wire with it.
        subprocess.run(["ip", "-n", WIFI, "link", "del", "wifi0"], check=False)
        subprocess.run(["ip", "netns", "del", WIFI], check=False)
        run("ip", "-n", NET, "addr", "del", "192.168.1.1/24", "dev", "n0")
        subprocess.run(["ip", "-n", BOX, "addr", "del", "192.168.1.2/24", "dev", "wan"], check=False)


def asks() -> None:
    """The machine asks for somebody, and the operator's box for this one."""
    run(*inside(NET, "ip", "neigh", "flush", "dev", "n0"))
    for space, address in ((WIFI, "192.168.1.9"), (NET, "192.168.1.2")):
        run(*inside(WIFI, "ip", "neigh", "flush", "dev", "wifi0", "nud", "all"))
        with socket_in(space, socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(b"x", (address, 9))
    time.sleep(0.3)


def heard(*moments: int) -> set[str]:
    """What the box's side hears, in its namespace: a machine asks at each of these moments."""
    found: list[set[str]] = []

    def listen() -> None:
        with Path(f"/run/netns/{BOX}").open("rb") as file:
            os.setns(file.fileno(), os.CLONE_NEWNET)
        uplink = Uplink("wan")
        uplink.machines(now=0)
        for moment in moments:
            asks()
            found.append(uplink.machines(now=moment))
        uplink.close()

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    return found[-1]


def test_a_machine_beside_the_box_is_counted_and_the_operators_box_is_not(beside: None) -> None:
    assert heard(0, STABLE_S) == {MAC}


def test_who_only_passes_by_is_not_counted(beside: None) -> None:
    assert heard(0, STABLE_S - 1) == set()


def test_without_a_private_address_the_neighbours_are_other_customers(beside: None) -> None:
    run("ip", "-n", BOX, "addr", "del", "192.168.1.2/24", "dev", "wan")
    try:
        assert heard(0, STABLE_S) == set()
    finally:
        run("ip", "-n", BOX, "addr", "add", "192.168.1.2/24", "dev", "wan")
