"""A box behind an operator's router that is itself behind another one: 4G without an address of its own.

The box translates, the operator's router translates, and stands on a line of 1400 bytes whose address changes.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator

import msgspec
import pytest

from tests.town_hall import TownHall, good_policy, needs_network, town_hall
from tests.town_hall_network import (
    BOX,
    ECHO_PORT,
    EVIL,
    GOOD,
    LAN,
    LISTED,
    NET,
    REFUSED,
    UNLISTED,
    WAN_NET,
    connect,
    connects,
    echoes,
    inside,
    listening,
    look_up,
    run,
    socket_in,
)
from tests.waiting import until

pytestmark = needs_network
ROUTER = f"bxt-{os.getpid()}-router"
LINE_BYTES = 1400
FIRST, LATER = "100.64.7.2", "100.64.9.2"
"""Of a carrier (RFC 6598)."""
PORT = 22702
HIDES = """table ip hides {
 chain c { type nat hook postrouting priority srcnat; oifname "o1" masquerade; }
}
"""


def _ip(space: str, arguments: str) -> None:
    run("ip", "-n", space, *arguments.split())


def given(address: str) -> None:
    """The carrier's address, and its way."""
    _ip(ROUTER, f"addr add {address}/24 dev o1")
    _ip(ROUTER, f"route replace default via {address[:-1]}1")


@pytest.fixture(scope="module")
def hall() -> Iterator[TownHall]:
    with town_hall() as hall:
        run("ip", "netns", "add", ROUTER)
        try:
            hall.kill("agent")
            _ip(ROUTER, "link set lo up")
            _ip(NET, f"link set n0 netns {ROUTER}")
            _ip(ROUTER, "addr add 192.168.1.1/24 dev n0")
            _ip(ROUTER, "link set n0 up")
            run(
                "ip", "link", "add", "o1", "netns", ROUTER, "type", "veth", "peer", "name", "o0", "netns", NET
            )
            for space, link in ((ROUTER, "o1"), (NET, "o0")):
                _ip(space, f"link set {link} mtu {LINE_BYTES} gso_max_segs 1 up")
            for gateway in (FIRST, LATER):
                _ip(NET, f"addr add {gateway[:-1]}1/24 dev o0")
            _ip(NET, f"addr add {WAN_NET}/32 dev lo")
            given(FIRST)
            run(*inside(ROUTER, "sysctl", "-qw", "net.ipv4.ip_forward=1"))
            run(*inside(ROUTER, "nft", "-f", "-"), stdin=HIDES)
            for link in ("wan", "lan"):
                _ip(BOX, f"-6 addr flush dev {link}")
                _ip(BOX, f"link set {link} gso_max_segs 1")
            _ip(BOX, "-4 addr flush dev wan")
            _ip(BOX, "addr add 192.168.1.2/24 dev wan")
            _ip(BOX, "route replace default via 192.168.1.1")
            _ip(LAN, "link set l0 gso_max_segs 1")
            with (hall.state / "box.toml").open("a") as settings:
                settings.write("masquerade = true\n")
            hall.start_agent()
            hall.connected()
            yield hall
        finally:
            run("ip", "netns", "del", ROUTER)


def test_people_names_blocks_and_policies_are_as_behind_one(hall: TownHall) -> None:
    assert connects(LAN, GOOD)
    hall.block(EVIL, LISTED)
    assert not connects(LAN, EVIL) and connects(LAN, GOOD)
    until(lambda: look_up(LAN, LISTED, hall.resolver) == REFUSED, "the name is not refused")
    assert look_up(LAN, UNLISTED, hall.resolver) == 0
    version = hall.centre.set_policy(msgspec.structs.replace(good_policy(), honeyports=(2323,)))
    until(lambda: hall.centre.policy_versions[-1] == version, f"not proved: {hall.log()}")
    hall.clear()


@pytest.mark.parametrize("upward", [True, False])
def test_long_documents_pass_the_short_line_both_ways(hall: TownHall, *, upward: bool) -> None:
    left = 200_000
    server = listening(NET, GOOD, PORT)
    done = threading.Event()

    def serve() -> None:
        peer, _ = server.accept()
        with peer:
            peer.settimeout(30.0)
            if not upward:
                peer.sendall(bytes(left))
                return
            got = 0
            while got < left and (piece := peer.recv(65536)):
                got += len(piece)
            if got == left:
                done.set()

    threading.Thread(target=serve, daemon=True).start()
    with server, socket_in(LAN, socket.AF_INET, socket.SOCK_STREAM) as client:
        client.settimeout(30.0)
        client.connect((GOOD, PORT))
        if upward:
            client.sendall(bytes(left))
            until(done.is_set, "it did not arrive")
            return
        while left and (piece := client.recv(65536)):
            left -= len(piece)
        assert left == 0


def test_after_another_address_of_the_carrier_the_feed_and_people_go_on(hall: TownHall) -> None:
    client = connect(LAN, GOOD)
    assert client is not None
    _ip(ROUTER, f"addr del {FIRST}/24 dev o1")
    given(LATER)
    with client:
        assert not echoes(client), "what ran is cut by the carrier, with or without a box"
    assert connects(LAN, GOOD, ECHO_PORT)
    hall.block(EVIL)
    assert not connects(LAN, EVIL)
    hall.clear()
