"""What a town hall lives on passes a box whose policy refuses by default, without anybody's word."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.town_hall import TownHall, good_policy, needs_network
from tests.town_hall_network import GOOD, LAN, NET, inside, run, socket_in
from tests.waiting import until

pytest_plugins = ["tests.fixtures_box"]
pytestmark = needs_network
TCP = {
    21: "a file transfer", 22: "a software house", 25: "a copier's own mail", 443: "payroll, Chorus Pro",
    465: "mail", 554: "a camera elsewhere", 587: "mail", 993: "mail", 3389: "a remote desk", 5938: "TeamViewer",
}  # fmt: skip
UDP = {
    123: "the time",
    443: "QUIC",
    500: "a VPN",
    1194: "a VPN",
    4500: "a VPN",
    5060: "telephones",
    51820: "a VPN",
}
OTHERS = {47: "PPTP", 50: "IPsec"}
ROUND = (853, 3544)
"""DNS over TLS, and a tunnel that machines make by themselves."""
SEEN = """table inet everyday {
  set ports { type inet_proto . inet_service; flags dynamic; size 1024; }
  set kinds { type inet_proto; flags dynamic; size 64; }
  chain c {
    type filter hook prerouting priority -300
    ip daddr %s update @kinds { meta l4proto }
    ip daddr %s meta l4proto { tcp, udp } update @ports { meta l4proto . th dport }
  }
}
"""


@pytest.fixture(scope="module", params=[False, True], ids=["router", "bridge"])
def town_hall_options(request: pytest.FixtureRequest) -> dict[str, Any]:
    if request.param and not Path("/proc/sys/net/bridge").exists():
        pytest.skip("needs br_netfilter")
    return {"bridge": request.param}


@pytest.fixture
def seen(hall: TownHall, town_hall_options: dict[str, Any]) -> Iterator[set[tuple[int, int]]]:
    """Of what the LAN sent to GOOD, what the internet got: protocols, and ports where they have some."""
    policy = good_policy(bridge=town_hall_options["bridge"], refuse_doh=True)
    version = hall.centre.set_policy(policy)
    until(lambda: hall.centre.policy_versions[-1] == version, f"not proved: {hall.log()}")
    run(*inside(NET, "nft", "-f", "-"), stdin=SEEN % (GOOD, GOOD))
    try:
        send()
        ports = {(kind, port) for kind, port in (one["concat"] for one in elements("ports"))}
        yield ports | {(kind, 0) for kind in elements("kinds") if kind not in (6, 17)}
    finally:
        run(*inside(NET, "nft", "delete", "table", "inet", "everyday"))


def send() -> None:
    for port in (*TCP, *ROUND[:1]):
        with socket_in(LAN, socket.AF_INET, socket.SOCK_STREAM) as client:
            client.settimeout(0.5)
            client.connect_ex((GOOD, port))
    for port in (*UDP, *ROUND):
        with socket_in(LAN, socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(b"\0" * 64, (GOOD, port))
    for protocol in OTHERS:
        with socket_in(LAN, socket.AF_INET, socket.SOCK_RAW, protocol) as client:
            client.sendto(b"\0\0\x08\0" + bytes(60), (GOOD, 0))


def elements(name: str) -> list[Any]:
    listed = json.loads(run(*inside(NET, "nft", "-j", "-n", "list", "set", "inet", "everyday", name)))
    [found] = (one["set"] for one in listed["nftables"] if "set" in one)
    return list(found.get("elem", ()))


def test_what_leaves_passes_but_for_what_goes_round_the_box(seen: set[tuple[int, int]]) -> None:
    passes = {*((6, port) for port in TCP), *((17, port) for port in UDP), *((kind, 0) for kind in OTHERS)}
    assert seen == passes, "neither DNS over TLS nor Teredo"
