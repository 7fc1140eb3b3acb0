"""The box as a transparent bridge: what is within a tag of 802.1Q, or within PPPoE, meets the same rules."""

from __future__ import annotations

import itertools
import json
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.town_hall import TownHall, needs_network
from tests.town_hall_network import EVIL, GOOD, LAN, LISTED, NET, REFUSED, inside, run, socket_in

pytest_plugins = ["tests.fixtures_box"]
pytestmark = needs_network

IPV4, TAG, SERVICE_TAG, PPPOE = 0x0800, 0x8100, 0x88A8, 0x8864
PATIENCE_S = 20
_ports = itertools.count(30_000)


@pytest.fixture(scope="module")
def town_hall_options() -> dict[str, Any]:
    if not Path("/proc/sys/net/bridge").exists():
        pytest.skip("needs br_netfilter")
    return {"bridge": True}


def plain(packet: bytes) -> bytes:
    return struct.pack(">H", IPV4) + packet


def tagged(packet: bytes, *, network: int = 77) -> bytes:
    return struct.pack(">HHH", TAG, network, IPV4) + packet


def with_an_empty_tag(packet: bytes) -> bytes:
    """A router takes it like one without."""
    return tagged(packet, network=0)


def in_pppoe(packet: bytes) -> bytes:
    return struct.pack(">HBBHHH", PPPOE, 0x11, 0, 5, 2 + len(packet), 0x21) + packet


def in_two_empty_tags(packet: bytes) -> bytes:
    return struct.pack(">HHHHH", TAG, 0, TAG, 0, IPV4) + packet


def in_a_service_tag(packet: bytes) -> bytes:
    return struct.pack(">HHH", SERVICE_TAG, 0, IPV4) + packet


def packet_to(address: str, source: str, content: bytes, port: int) -> bytes:
    ends = socket.inet_aton(source) + socket.inet_aton(address)
    head = struct.pack(">BBHHHBBH", 0x45, 0, 28 + len(content), 1, 0, 64, socket.IPPROTO_UDP, 0) + ends
    total = sum(struct.unpack(">10H", head))
    total = (total & 0xFFFF) + (total >> 16)
    head = head[:10] + struct.pack(">H", ~total & 0xFFFF) + head[12:]
    return head + struct.pack(">4H", next(_ports), port, 8 + len(content), 0) + content


@dataclass
class Line:
    """The PC's own card and the operator's router, frame by frame."""

    pc: socket.socket
    router: socket.socket
    head: bytes
    source: str

    def passes(self, wrap: Any, address: str, content: bytes = b"", port: int = 9) -> bool:
        """Whether the router gets this frame; one in plain to the good address that follows it tells when to stop."""
        mark = f"{next(_ports):>18}".encode()
        packet = packet_to(address, self.source, content or mark, port)
        last = packet_to(GOOD, self.source, b"last" + mark, 9)
        self.pc.send(self.head + wrap(packet))
        self.pc.send(self.head + plain(last))
        end = time.monotonic() + PATIENCE_S
        passed = False
        while time.monotonic() < end:
            frame = self.router.recv(2000)
            passed = passed or (packet[28:] in frame and b"last" not in frame)
            if b"last" + mark in frame:
                return passed
        raise AssertionError("the line is dead")

    def answer_code(self, wrap: Any, question: bytes) -> int:
        self.pc.send(self.head + wrap(packet_to(GOOD, self.source, question, 53)))
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            frame = self.pc.recv(2000)
            at = frame.find(question[:2])
            if at >= 0 and frame[at + 2] & 0x80:
                return frame[at + 3] & 15
        raise AssertionError("no answer")


@pytest.fixture
def line(hall: TownHall) -> Iterator[Line]:
    def card(space: str, name: str) -> socket.socket:
        made = socket_in(space, socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        made.bind((name, 0))
        made.settimeout(PATIENCE_S)
        return made

    def mac(space: str, name: str) -> bytes:
        shown = json.loads(run(*inside(space, "ip", "-j", "link", "show", name)))
        return bytes.fromhex(shown[0]["address"].replace(":", ""))

    with card(LAN, "l0") as pc, card(NET, "n0") as router:
        yield Line(pc, router, mac(NET, "n0") + mac(LAN, "l0"), hall.pc[0])


def question_for(name: str) -> bytes:
    parts = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    return struct.pack(">6H", next(_ports), 0x100, 1, 0, 0, 0) + parts + b"\0\0\1\0\1"


@pytest.mark.parametrize("wrap", [plain, tagged, with_an_empty_tag, in_pppoe])
def test_a_blocked_address_is_refused_in_whatever_it_is_wrapped(
    hall: TownHall, line: Line, wrap: Any
) -> None:
    assert line.passes(wrap, EVIL)
    ids = hall.block(EVIL)
    assert not line.passes(wrap, EVIL)
    assert line.passes(wrap, GOOD), "a telephone's own network goes on"
    hall.unblock(*ids)
    assert line.passes(wrap, EVIL)


@pytest.mark.parametrize("wrap", [in_two_empty_tags, in_a_service_tag])
def test_what_the_kernel_cannot_look_into_does_not_pass(hall: TownHall, line: Line, wrap: Any) -> None:
    assert not line.passes(wrap, GOOD) and line.passes(plain, GOOD)


def test_names_are_refused_behind_an_empty_tag_and_other_networks_keep_their_resolver(
    hall: TownHall, line: Line
) -> None:
    hall.block(LISTED)
    assert line.answer_code(with_an_empty_tag, question_for(LISTED)) == REFUSED
    for wrap in (tagged, in_pppoe):
        assert line.passes(wrap, GOOD, question_for(LISTED), 53), "the box has no address there"
    assert not line.passes(with_an_empty_tag, GOOD, question_for(LISTED), 53)
