"""A bridge that waits for its code: it is believed to be itself, and believes its router alone."""

from __future__ import annotations

import itertools
import socket

from tests.lan_frames import arp_claim, card, known
from tests.town_hall import needs_network, town_hall
from tests.town_hall_network import BOX, LAN, NET, WAN_BOX, WAN_NET, inside, run, socket_in
from tests.waiting import until

pytestmark = needs_network


def test_who_plays_the_router_is_heard_by_no_box_that_waits_for_its_code() -> None:
    with town_hall(bridge=True, enrolled=False) as hall:
        hall.kill("agent")
        with (hall.state / "box.toml").open("a") as settings:
            settings.write('mode = "bridge"\n')  # as ``network`` found
        hall.start_agent()
        (lan, own), (net, router) = card(LAN, "l0"), card(NET, "n0")
        run(*inside(BOX, "sysctl", "-qw", "net.ipv4.neigh.br0.locktime=0"))
        with lan, net, socket_in(BOX, socket.AF_INET, socket.SOCK_DGRAM) as box:

            def believed() -> str:
                box.sendto(b"", (WAN_NET, 123))
                return known(BOX, "br0", WAN_NET).replace(":", "")

            def claimed() -> str:
                """What the box believes once it believed another claim."""
                last, link = f"185.10.20.{next(numbers)}", ("dev", "br0")
                run("ip", "-n", BOX, "neigh", "add", last, "lladdr", "2:0:0:0:0:1", "nud", "stale", *link)

                def heard() -> bool:
                    for address in (WAN_NET, last):
                        lan.send(arp_claim(own, address, WAN_BOX))
                    return known(BOX, "br0", last).replace(":", "") == own.hex()

                until(heard, "the line is dead")
                return known(BOX, "br0", WAN_NET).replace(":", "")

            numbers = itertools.count(100)
            until(
                lambda: believed() == router.hex() and claimed() == router.hex(), "the first boot believes it"
            )
            assert [claimed() for _ in range(3)] == [router.hex()] * 3
