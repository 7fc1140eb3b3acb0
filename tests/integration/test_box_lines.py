"""Lines that are shorter than the LAN: an operator who says so to the box alone, and swallows what is longer."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
from beffroi_box.config import BoxConfig
from beffroi_box.ruleset import Site, ruleset
from beffroi_box.wanguard import guard_rules
from beffroi_protocol.messages import Policy

from tests.town_hall import needs_network
from tests.town_hall_network import (
    BOX,
    CENTRE_PORT,
    LAN,
    NET,
    WAN_NET,
    WAN_NET6,
    family,
    inside,
    listening,
    make_spaces,
    remove_spaces,
    run,
    socket_in,
)

pytestmark = needs_network
LINE_BYTES = 1400
LONG = bytes(200_000)
SWALLOWS = f"""table inet swallows {{
 chain c {{
  type filter hook postrouting priority 0;
  oifname "n0" meta length > {LINE_BYTES} drop
 }}
}}
"""


@pytest.fixture(params=["enrolled", "new"])
def line(request: pytest.FixtureRequest) -> Iterator[None]:
    """Of 4G, DS-Lite or a tunnel."""
    remove_spaces()
    try:
        make_spaces(bridge=False)
        run(*inside(NET, "ip", "link", "set", "n0", "gso_max_segs", "1"))  # packets as long as on a wire
        run(*inside(NET, "nft", "-f", "-"), stdin=SWALLOWS)
        rules = ruleset(Policy(), Site("wan", "lan", (WAN_NET, WAN_NET6), CENTRE_PORT))
        if request.param == "new":
            rules = guard_rules(BoxConfig(wan="wan", lan="lan"), known=True)
        run(*inside(BOX, "nft", "-f", "-"), stdin=rules)
        yield
    finally:
        remove_spaces()


@pytest.mark.parametrize("there", [WAN_NET, WAN_NET6])
@pytest.mark.usefixtures("line")
def test_what_is_fetched_comes_in_pieces_that_the_line_takes(there: str) -> None:
    if ":" in there:  # as networkd does where the operator's router announces it (RFC 4861)
        run(*inside(BOX, "sysctl", "-qw", f"net.ipv6.conf.wan.mtu={LINE_BYTES}"))
    else:  # as a person sets it
        run(*inside(BOX, "ip", "link", "set", "wan", "mtu", str(LINE_BYTES)))
    server = listening(NET, there, CENTRE_PORT)

    def give() -> None:
        peer, _ = server.accept()
        with peer:
            peer.sendall(LONG)

    threading.Thread(target=give, daemon=True).start()
    with server, socket_in(LAN, family(there), socket.SOCK_STREAM) as client:
        client.settimeout(20.0)
        client.connect((there, CENTRE_PORT))
        left = len(LONG)
        while left and (piece := client.recv(65536)):
            left -= len(piece)
        assert left == 0
