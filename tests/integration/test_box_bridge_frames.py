"""The box as a transparent bridge: what is within a tag of 802.1Q, within PPPoE or in fragments meets the same rules;
who plays the DHCP server is seen."""

from __future__ import annotations

import itertools
import json
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from beffroi_box.crowdrules import MOST_FLOWS
from beffroi_protocol.facts import Bypass, Sighting

from tests.box_watching import facts
from tests.lan_frames import IPV4, fragment, packet_to, plain, ports
from tests.town_hall import TownHall, needs_network
from tests.town_hall_network import BOX, EVIL, GOOD, LAN, LISTED, NET, REFUSED, inside, run, socket_in
from tests.waiting import until

pytest_plugins = ["tests.fixtures_box"]
pytestmark = needs_network

TAG, SERVICE_TAG, PPPOE = 0x8100, 0x88A8, 0x8864
PATIENCE_S = 20


@pytest.fixture(scope="module")
def town_hall_options() -> dict[str, Any]:
    if not Path("/proc/sys/net/bridge").exists():
        pytest.skip("needs br_netfilter")
    return {"bridge": True}


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


def whole(packet: bytes) -> list[bytes]:
    return [packet]


def tiny_first(packet: bytes) -> list[bytes]:
    """The ports alone, then the rest."""
    return _cut(packet, (0, 8), (8, None))


def last_first(packet: bytes) -> list[bytes]:
    return tiny_first(packet)[::-1]


def overlapping(packet: bytes) -> list[bytes]:
    """The second one says the end of the first one again."""
    return _cut(packet, (0, 16), (8, None))


def _cut(packet: bytes, *parts: tuple[int, int | None]) -> list[bytes]:
    source, address = (socket.inet_ntoa(packet[at : at + 4]) for at in (12, 16))
    content = packet[20:]
    return [fragment(source, address, content[a:z], a, more=z is not None) for a, z in parts]


@dataclass
class Line:
    """The PC's own card and the operator's router, frame by frame."""

    pc: socket.socket
    router: socket.socket
    head: bytes
    source: str

    def passes(self, wrap: Any, address: str, content: bytes = b"", port: int = 9, cut: Any = whole) -> bool:
        """Whether the router gets this frame; one in plain to the good address that follows it tells when to stop."""
        mark = f"{next(ports):>18}".encode()
        packet = packet_to(address, self.source, content or mark, port)
        last = packet_to(GOOD, self.source, b"last" + mark, 9)
        for piece in cut(packet):
            self.pc.send(self.head + wrap(piece))
        self.pc.send(self.head + plain(last))
        end = time.monotonic() + PATIENCE_S
        passed = False
        while time.monotonic() < end:
            frame = self.router.recv(2000)
            passed = passed or (packet[28:] in frame and b"last" not in frame)
            if b"last" + mark in frame:
                return passed
        raise AssertionError("the line is dead")

    def answer_code(self, wrap: Any, question: bytes, cut: Any = whole) -> int:
        for piece in cut(packet_to(GOOD, self.source, question, 53)):
            self.pc.send(self.head + wrap(piece))
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


def counted(family: str, name: str) -> str:
    return run(*inside(BOX, "nft", "list", "set", family, "beffroi", name))


def newcomers_refused() -> int:
    """Packets."""
    told = json.loads(
        run(*inside(BOX, "nft", "-j", "list", "counter", "inet", "beffroi", "newcomers_refused"))
    )
    return int(told["nftables"][-1]["counter"]["packets"])


def question_for(name: str) -> bytes:
    parts = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    return struct.pack(">6H", next(ports), 0x100, 1, 0, 0, 0) + parts + b"\0\0\1\0\1"


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


@pytest.mark.parametrize("cut", [tiny_first, last_first])
@pytest.mark.parametrize("wrap", [plain, tagged, in_pppoe])
def test_fragments_of_what_is_blocked_do_not_pass_and_others_do(
    hall: TownHall, line: Line, wrap: Any, cut: Any
) -> None:
    ids = hall.block(EVIL, LISTED)
    assert not line.passes(wrap, EVIL, cut=cut) and line.passes(wrap, GOOD, cut=cut)
    if wrap is plain:
        assert line.answer_code(wrap, question_for(LISTED), cut) == REFUSED
    hall.unblock(*ids)


def test_fragments_that_overlap_pass_nowhere(hall: TownHall, line: Line) -> None:
    """A machine behind the box could put them together to something else than the box read."""
    assert not line.passes(plain, GOOD, cut=overlapping) and line.passes(plain, GOOD, cut=tiny_first)


def test_who_offers_addresses_in_the_lan_is_counted(hall: TownHall, line: Line) -> None:
    """To the box itself, too: an offer is sent to an address that nobody has yet."""
    offer = packet_to("185.10.20.99", "185.10.20.66", b"offer", 68, 67)
    box = bytes.fromhex(
        json.loads(run(*inside(BOX, "ip", "-j", "link", "show", "br0")))[0]["address"].replace(":", "")
    )
    line.pc.send(box + line.head[6:] + plain(offer))
    until(
        lambda: "185.10.20.66" in counted("inet", "others4"),
        "not counted",
    )


def test_names_are_refused_behind_an_empty_tag_and_other_networks_keep_their_resolver(
    hall: TownHall, line: Line
) -> None:
    hall.block(LISTED)
    assert line.answer_code(with_an_empty_tag, question_for(LISTED)) == REFUSED
    for wrap in (tagged, in_pppoe):
        assert line.passes(wrap, GOOD, question_for(LISTED), 53), "the box has no address there"
    assert not line.passes(with_an_empty_tag, GOOD, question_for(LISTED), 53)


@pytest.fixture
def lasting(line: Line) -> Iterator[None]:
    """Flows that are not forgotten meanwhile; no machine is known."""
    sets = ("held", "held_by_newcomers", "seen", "newcomers", "residents", "begun", "crowds")
    line.router.setblocking(False)
    lasts = "net.netfilter.nf_conntrack_udp_timeout"
    forget = "".join(f"flush set inet beffroi {name}\n" for name in sets)
    run(*inside(BOX, "sysctl", "-qw", f"{lasts}=600"))
    run(*inside(BOX, "nft", "-f", "-"), stdin=forget)
    yield
    run(*inside(BOX, "sysctl", "-qw", f"{lasts}=30"))
    run(*inside(BOX, "nft", "-f", "-"), stdin=forget)


def settle(*macs: bytes) -> None:
    """They were here yesterday."""
    known = ", ".join(mac.hex(":") for mac in macs)
    run(*inside(BOX, "nft", "add", "element", "inet", "beffroi", "residents", f"{{ {known} }}"))


def begin(line: Line, mac: bytes, number: int) -> None:
    source = f"185.10.20.{50 + number % 100}"
    line.pc.send(line.head[:6] + mac + plain(packet_to(GOOD, source, b"", 9, 1024 + number)))


def one_passes(line: Line, passes: bytes, refused: bytes) -> None:
    """A new flow of one card passes, one of another does not."""
    kept, other = b"one more".ljust(18), b"of another".ljust(18)

    def arrived() -> bytes:
        for content, card in ((kept, refused), (other, passes)):
            line.pc.send(line.head[:6] + card + plain(packet_to(GOOD, line.source, content, 9)))
        frames = [b""]
        with suppress(BlockingIOError):
            while True:
                frames.append(line.router.recv(2000))
        return b"".join(frames)

    seen = [b""]
    until(lambda: seen.append(arrived()) or other in seen[-1], "another machine is held back too")
    assert not any(kept in frames for frames in seen)


@pytest.mark.usefixtures("lasting")
def test_a_machine_that_begins_flows_without_end_leaves_room_to_the_others(
    hall: TownHall, line: Line
) -> None:
    """Whatever addresses it takes: one card is one machine."""
    mac = line.head[6:12]
    settle(mac)
    for number in range(MOST_FLOWS + 1):
        if number % 3000 == 0:  # as if some seconds had gone
            run(*inside(BOX, "nft", "flush", "set", "inet", "beffroi", "begun"))
        begin(line, mac, number)
    more = itertools.count(MOST_FLOWS + 1)  # a busy kernel lost some of them on their way
    until(
        lambda: begin(line, mac, next(more)) or mac.hex(":") in counted("inet", "crowds"),
        "nothing is held back",
    )
    one_passes(line, b"\x02" + mac[1:], mac)
    told = lambda: [f for f in hall.centre.facts.values() if isinstance(f, Sighting)]  # noqa: E731
    until(lambda: "flow_flood" in {f.detector for f in told()}, "not told")


@pytest.mark.usefixtures("lasting")
def test_who_forges_cards_without_end_leaves_room_to_the_machines_that_were_there_before(
    hall: TownHall, line: Line
) -> None:
    mac = line.head[6:12]
    settle(mac)
    for number in range(MOST_FLOWS + 1):
        begin(line, b"\x06" + number.to_bytes(5), 10_000 + number)
    more, before = itertools.count(MOST_FLOWS + 1), newcomers_refused()

    def is_refused() -> bool:
        number = next(more)
        begin(line, b"\x06" + number.to_bytes(5), 10_000 + number)
        return newcomers_refused() > before

    until(is_refused, "nothing is refused")
    one_passes(line, mac, b"\x06" * 6)
    until(lambda: "newcomers_flood" in {fact.kind for fact in facts(hall, Bypass)}, "told to nobody")


@pytest.mark.usefixtures("lasting")
def test_one_flow_that_nobody_answers_is_one_however_fast_it_is(line: Line) -> None:
    """A camera, a log: 200 datagrams a second are no 200 flows."""
    mac = line.head[6:12]
    for _ in range(10_000):
        begin(line, mac, 20_000)
    assert mac.hex(":") not in counted("inet", "crowds")


@pytest.mark.usefixtures("lasting")
def test_a_machine_that_was_there_an_hour_ago_is_no_newcomer(line: Line) -> None:
    mac = line.head[6:12]
    begin(line, mac, 30_001)
    until(lambda: mac.hex(":") in counted("inet", "newcomers"), "not counted")
    begin(line, mac, 30_002)
    assert mac.hex(":") not in counted("inet", "residents")
    run(*inside(BOX, "nft", "flush", "set", "inet", "beffroi", "newcomers"))  # an hour goes by
    begin(line, mac, 30_003)
    until(lambda: mac.hex(":") in counted("inet", "residents"), "a newcomer for ever")
