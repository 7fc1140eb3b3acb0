"""The box as a transparent bridge: the same rules over br_netfilter."""

from __future__ import annotations

import json
import signal
import socket
import struct
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
from beffroi_box.found import Found
from beffroi_box.modes import Plan
from beffroi_box.store import write_atomic
from beffroi_protocol.facts import LookBack, Sighting

from tests.box_watching import facts, read_by_the_box
from tests.lan_frames import arp_claim, card, known, neighbour_claim
from tests.town_hall import TownHall, good_policy, needs_network
from tests.town_hall_network import (
    BOX,
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
    WAN_BOX6,
    WAN_NET,
    WAN_NET6,
    connect,
    connects,
    echoes,
    family,
    inside,
    look_up,
    run,
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


def advertise(space: str, link: str, network: str) -> None:
    """As a router does, for hosts that make their own addresses; no way out is offered."""
    index = json.loads(run(*inside(space, "ip", "-j", "link", "show", link)))[0]["ifindex"]
    head = struct.pack(">BBHBBHII", 134, 0, 0, 64, 0, 0, 0, 0)
    prefix = struct.pack(
        ">BBBBIII16s", 3, 4, 64, 0xC0, 600, 600, 0, socket.inet_pton(socket.AF_INET6, network)
    )
    with socket_in(space, socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as router:
        router.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        router.sendto(head + prefix, ("ff02::1", 0, 0, index))


def test_who_plays_the_router_in_the_lan_chooses_no_network_that_is_never_blocked(hall: TownHall) -> None:
    """What the box has an address in is its LAN, which it never blocks."""
    key, own = "net.ipv6.conf.br0.accept_ra", "2a0c:e300:99:"
    added = lambda: run(*inside(BOX, "ip", "-6", "addr", "show", "dev", "br0"))  # noqa: E731
    run(*inside(BOX, "sysctl", "-qw", f"{key}=2"))
    try:
        advertise(LAN, "l0", "2a0e:b107:10::")

        def from_the_operator() -> bool:
            advertise(NET, "n0", own + ":")
            return own in added()

        until(from_the_operator, "the operator's router is not heard")
        assert "2a0e:b107:10:" not in added()
        hall.block(EVIL6)
        assert not connects(LAN, EVIL6)
    finally:
        run(*inside(BOX, "sysctl", "-qw", f"{key}=0"))
        for line in added().splitlines():
            if (found := line.split())[:1] == ["inet6"] and "dynamic" in line:
                run("ip", "-n", BOX, "addr", "del", found[1], "dev", "br0")


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


def in_set(name: str, value: str) -> bool:
    return value in run(*inside(BOX, "nft", "list", "set", "bridge", "beffroi", name))


SPOOFS = {
    "arp of the router": lambda own, router: [arp_claim(own, WAN_NET, WAN_BOX)],
    "arp of another hardware": lambda own, router: [arp_claim(own, WAN_NET, WAN_BOX, hardware=6)],
    "arp of the box": lambda own, router: [arp_claim(own, WAN_BOX, WAN_NET)],
    "the router's own card": lambda own, router: [arp_claim(router, "185.10.20.77", WAN_NET)],
    "neighbours": lambda own, router: [neighbour_claim(own, one) for one in (WAN_NET6, WAN_BOX6)],
}


@pytest.mark.parametrize("kind", SPOOFS)
def test_a_machine_that_plays_the_router_or_the_box_takes_neither_from_anybody(
    hall: TownHall, kind: str
) -> None:
    (lan, own), (net, router) = card(LAN, "l0"), card(NET, "n0")
    box = bytes.fromhex(
        json.loads(run("ip", "-n", BOX, "-j", "link", "show", "br0"))[0]["address"].replace(":", "")
    )
    for space, link in ((BOX, "br0"), (NET, "n0")):
        run("ip", "-n", space, "neigh", "flush", "dev", link)
    ends = [
        (BOX, "br0", WAN_NET, router),
        (BOX, "br0", WAN_NET6, router),
        (NET, "n0", WAN_BOX, box),
        (NET, "n0", WAN_BOX6, box),
    ]
    frames = SPOOFS[kind](own, router)
    ended = threading.Event()

    def claim() -> None:
        while not ended.wait(0.001):
            for frame in frames:
                lan.send(frame)

    for space, link, address, _ in ends:
        # Else the kernel keeps what it believed a second ago, whoever says what.
        if ":" not in address:
            run(*inside(space, "sysctl", "-qw", f"net.ipv4.neigh.{link}.locktime=0"))
        with socket_in(space, family(address), socket.SOCK_DGRAM) as client:
            client.sendto(b"", (address, 123))
    until(lambda: in_set("beyond4", WAN_NET) and in_set("beyond6", WAN_NET6), "the router was not heard")
    thread = threading.Thread(target=claim)
    thread.start()
    try:
        for number in range(3):
            until(
                lambda n=number: look_up(LAN, f"{kind[:3]}{n}.mairie-exemple.com", GOOD) == 0,
                "nobody has names",
            )
            hall.unblock(*hall.block(EVIL, EVIL6))
        for space, link, address, mac in ends:
            assert known(space, link, address).replace(":", "") in ("", mac.hex())
        shown = json.loads(run(*inside(BOX, "bridge", "-j", "fdb", "show", "br", "br0")))
        assert {one["ifname"] for one in shown if one["mac"].replace(":", "") == router.hex()} == {"wan"}
        until(lambda: [f for f in facts(hall, Sighting) if f.detector == "gateway_spoof"], "not told")
        assert own.hex(":") not in repr(hall.centre.facts)
    finally:
        ended.set()
        thread.join()
        lan.close()
        net.close()


def test_where_nobody_gives_addresses_a_policy_is_proved_by_the_box_itself(hall: TownHall) -> None:
    """Fixed ones, or a machine of the LAN that took all that there are: one machine more would have none."""
    centre, settings = hall.centre, hall.state / "box.toml"
    text = settings.read_text()
    settings.write_text(f'{text}mode = "bridge"\n')
    write_atomic(
        hall.state / "network.json", msgspec.json.encode(Found(Plan("bridge", "wan", "lan"), proved=True))
    )
    hall.kill("agent", signal.SIGTERM)
    hall.start_agent()
    try:
        hall.connected()
        version = centre.set_policy(good_policy(bridge=True, honeyports=(23,)))
        until(lambda: version in (centre.policy_versions[-1], hall.status()["rolled_back"]), "not tried")
        assert centre.policy_versions[-1] == version, hall.log()
    finally:
        settings.write_text(text)
        (hall.state / "network.json").unlink()
        hall.kill("agent", signal.SIGTERM)
        hall.start_agent()
        hall.connected()
