"""A machine of the town hall, or a stranger, that sends without end takes neither names nor IPv6 from anybody."""

from __future__ import annotations

import itertools
import json
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from tests.box_watching import from_net, hall, policy, sightings
from tests.lan_frames import card, neighbour_question, packet_to, plain
from tests.town_hall import TownHall, needs_network
from tests.town_hall_network import (
    BOX,
    ECHO_PORT,
    EVIL6,
    GOOD,
    LAN,
    LAN_BOX,
    LAN_BOX6,
    NET,
    UNLISTED,
    WAN_BOX6,
    connects,
    inside,
    look_up,
    run,
    socket_in,
)
from tests.waiting import until

__all__ = ["hall"]
pytest_plugins = ["tests.fixtures_box"]
pytestmark = needs_network
TRUNCATED = 2
"""Bit of the third byte of an answer of DNS."""


@pytest.mark.parametrize(("space", "target"), [(LAN, LAN_BOX6), (NET, WAN_BOX6)], ids=["inside", "outside"])
def test_a_flood_of_icmp_takes_ipv6_from_nobody(hall: TownHall, space: str, target: str) -> None:
    """Neighbours find each other by ICMPv6, and what they know of each other ends after seconds."""
    unasked = struct.pack(">BBHHH", 129, 0, 0, 7, 1)  # an echo reply: no flow of the box's
    ended = threading.Event()

    def flood() -> None:
        with socket_in(space, socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as attacker:
            while not ended.is_set():
                with suppress(OSError):  # its own neighbours are forgotten too
                    attacker.sendto(unasked, (target, 0))

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        before = refused_packets()
        until(lambda: refused_packets() > before + 1000, "nothing was refused")
        for space_, link in ((LAN, "l0"), (NET, "n0"), (BOX, "lan"), (BOX, "wan")):
            # It gives up where the flood makes new ones without a pause.
            subprocess.run(("ip", "-n", space_, "-6", "neigh", "flush", "dev", link), check=False)
        assert [connects(LAN, EVIL6) for _ in range(3)] == [True] * 3
    finally:
        ended.set()
        thread.join()


def test_who_forges_neighbours_does_not_fill_the_memory_of_them(hall: TownHall) -> None:
    """The kernel holds some for all cards, and drops those that it has longest, the internet's router among them."""
    (lan, _), forged = card(LAN, "l0"), "fe80::6:"
    with lan:
        for number in range(600):
            mac = b"\x06\0\0\0" + number.to_bytes(2)
            lan.send(neighbour_question(mac, f"{forged}{number + 1:x}", LAN_BOX6))
        assert connects(LAN, EVIL6), "what came before was read"
    held = json.loads(run("ip", "-n", BOX, "-j", "-6", "neigh", "show", "dev", "lan"))
    assert len([one for one in held if one["dst"].startswith(forged)]) < 300
    run("ip", "-n", BOX, "-6", "neigh", "flush", "dev", "lan")


def test_who_scans_the_lan_from_outside_does_not_fill_it_either(hall: TownHall) -> None:
    policy(hall, observe_until=hall.centre.now() + 3600)
    with socket_in(NET, socket.AF_INET6, socket.SOCK_DGRAM) as scan:
        for number in range(250):  # within what one source may begin
            scan.sendto(b"", (f"2a0c:e300:2::5:{number + 1:x}", 9))
    assert from_net(EVIL6, hall.pc[1], ECHO_PORT), "while it observes, who is there is found"
    held = json.loads(run("ip", "-n", BOX, "-j", "-6", "neigh", "show", "dev", "lan"))
    assert len([one for one in held if one["dst"].startswith("2a0c:e300:2::5:")]) < 200
    run("ip", "-n", BOX, "-6", "neigh", "flush", "dev", "lan")


def refused_packets() -> int:
    listed = json.loads(
        run(*inside(BOX, "nft", "-j", "list", "counter", "inet", "beffroi", "inbound_refused"))
    )
    return int(listed["nftables"][1]["counter"]["packets"])


@contextmanager
def infected_card(address: str) -> Iterator[str]:
    """One more machine of the LAN; the first one was here before. Its link."""
    mac = run("ip", "-n", LAN, "-br", "link", "show", "dev", "l0").split()[2]
    run(*inside(BOX, "nft", "add", "element", "inet", "beffroi", "residents", f"{{ {mac} }}"))
    run("ip", "-n", LAN, "link", "add", "l1", "link", "l0", "type", "macvlan", "mode", "bridge")
    try:
        run(*inside(LAN, "sysctl", "-qw", "net.ipv4.conf.all.arp_ignore=1"))
        run("ip", "-n", LAN, "addr", "add", f"{address}/24", "dev", "l1")
        run("ip", "-n", LAN, "link", "set", "l1", "up")
        yield "l1"
    finally:
        run("ip", "-n", LAN, "link", "del", "l1")
        run(*inside(BOX, "nft", "flush", "set", "inet", "beffroi", "residents"))


def question(number: int) -> bytes:
    name = f"x{number}".encode()
    head = struct.pack(">6HB", number & 0xFFFF, 0x100, 1, 0, 0, 0, len(name))
    return head + name + b"\4lent\3com\0\0\1\0\1"


@contextmanager
def without_end(ask: Callable[[int], None]) -> Iterator[None]:
    ended = threading.Event()

    def flood() -> None:
        for number in itertools.count():
            if ended.is_set():
                return
            with suppress(BlockingIOError):
                ask(number)

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_a_machine_that_asks_without_end_takes_the_resolver_from_nobody_and_is_told(hall: TownHall) -> None:
    other, waits = "185.11.30.66", threading.Event()
    with infected_card(other) as link, socket_in(LAN, socket.AF_INET, socket.SOCK_DGRAM) as infected:
        infected.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, link.encode())
        infected.bind((other, 0))
        infected.setblocking(False)

        def ask(number: int) -> None:
            infected.sendto(question(number), (LAN_BOX, 53))
            if infected.recv(512)[2] & TRUNCATED:
                waits.set()

        with without_end(ask):
            until(waits.is_set, "it is answered without end")
            for number in range(30):
                until(lambda n=number: look_up(LAN, f"a{n}.mairie-exemple.com", LAN_BOX) == 0, "no answer")
            dig = ("dig", "-b", other, "+short", f"@{LAN_BOX}", UNLISTED)
            assert run(*inside(LAN, *dig)).split()[-1] == GOOD, "a program asks again by TCP, and is answered"
            until(lambda: sightings(hall, "dns_flood"), "not told")
    assert all(f.evidence["machine"].startswith("poste-") for f in sightings(hall, "dns_flood"))
    assert not any(f.indicators for f in sightings(hall, "dns_flood"))
    assert other not in repr(hall.centre.facts)


@pytest.mark.parametrize("cards", [1, 1000])
def test_who_asks_from_forged_addresses_takes_the_resolver_from_nobody(hall: TownHall, cards: int) -> None:
    (lan, _), target = card(LAN, "l0"), card(BOX, "lan")[1]

    def ask(number: int) -> None:
        mac = b"\x06" + (number % cards).to_bytes(5)
        source = f"185.11.30.{80 + number % 150}"
        lan.send(
            target + mac + plain(packet_to(LAN_BOX, source, question(number), 53, 1024 + number % 60000))
        )

    def held_back() -> bool:
        name = "asked_too_fast" if cards == 1 else "newcomers_refused"
        shown = run(*inside(BOX, "nft", "-j", "list", "counter", "inet", "beffroi", name))
        return bool(json.loads(shown)["nftables"][1]["counter"]["packets"])

    with infected_card("185.11.30.66"), lan, without_end(ask):
        if cards == 1:  # as one that was here before, too
            first = "{ 06:00:00:00:00:00 }"
            run(*inside(BOX, "nft", "add", "element", "inet", "beffroi", "residents", first))
            until(lambda: sightings(hall, "dns_flood"), "not told")
        until(held_back, "it is answered without end")
        for number in range(10):
            until(lambda n=number: look_up(LAN, f"f{n}.mairie-exemple.com", LAN_BOX) == 0, "no answer")


def test_who_asks_for_addresses_without_end_is_told(hall: TownHall) -> None:
    """What is left for the others: test_box_modes.py, where a server gives some."""
    (lan, mac) = card(LAN, "l0")
    run(*inside(BOX, "nft", "add", "element", "inet", "beffroi", "residents", f"{{ {mac.hex(':')} }}"))
    asks = b"\xff" * 6 + mac + plain(packet_to("255.255.255.255", "0.0.0.0", bytes(240), 67, 68))
    with lan:
        for _ in range(60):
            lan.send(asks)
    until(lambda: sightings(hall, "dhcp_flood"), "not told")
    assert all(f.evidence["machine"].startswith("poste-") for f in sightings(hall, "dhcp_flood"))
    run(*inside(BOX, "nft", "flush", "set", "inet", "beffroi", "residents"))
