"""An operator's line that swallows long packets and tells nobody: what the box sends arrives all the same."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from tests.town_hall import ROOT, needs_network
from tests.town_hall_network import (
    BOX,
    CENTRE_PORT,
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
LONG = bytes(200_000)
SWALLOWS = """table inet swallows {
 chain c {
  type filter hook prerouting priority -300;
  meta length > 1400 drop
 }
}
"""


@pytest.fixture
def line() -> Iterator[None]:
    remove_spaces()
    try:
        make_spaces(bridge=False)
        run(*inside(BOX, "ip", "link", "set", "wan", "gso_max_segs", "1"))  # packets as long as on a wire
        run(*inside(NET, "nft", "-f", "-"), stdin=SWALLOWS)
        text = (ROOT / "deploy" / "deb" / "sysctl.conf").read_text()
        for one in text.splitlines():
            if one.startswith("net.ipv4.tcp_"):
                run(*inside(BOX, "sysctl", "-qw", one.replace(" ", "")))
        yield
    finally:
        remove_spaces()


@pytest.mark.parametrize("centre", [WAN_NET, WAN_NET6])
@pytest.mark.usefixtures("line")
def test_long_packets_that_vanish_are_sent_as_shorter_ones(centre: str) -> None:
    server = listening(NET, centre, CENTRE_PORT)

    def take() -> None:
        peer, _ = server.accept()
        with peer:
            left = len(LONG)
            while left and (piece := peer.recv(65536)):
                left -= len(piece)
            peer.sendall(b"all" if not left else b"cut")

    threading.Thread(target=take, daemon=True).start()
    with server, socket_in(BOX, family(centre), socket.SOCK_STREAM) as client:
        client.connect((centre, CENTRE_PORT))
        client.settimeout(60.0)
        client.sendall(LONG)
        assert client.recv(3) == b"all"
