"""What is proposed for what is plugged where, and frames of strangers; pure."""

from __future__ import annotations

import struct

import pytest
from beffroi_box.look import ACK, OFFER, Offer, Seen, arp_sender, is_advert, parse_dhcp
from beffroi_box.modes import Plan, contradicts, files, plans, settings, trouble
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

PRIVATE = Offer("192.168.1.20/24", "192.168.1.1", "192.168.1.1")
PUBLIC = Offer("185.22.33.44/24", "185.22.33.1", "185.22.33.1")
CARRIER_NAT = Offer("100.70.1.2/20", "100.70.0.1", "100.70.0.1")
XID = b"\1\2\3\4"


def proposed(first: Seen, second: Seen, last: Plan | None = None, wanted: str = "") -> list[tuple[str, str]]:
    found = plans({"p0": first, "p1": second}, last=last, wanted=wanted)
    return [(plan.mode, plan.wan) for plan in found]


def seen(offer: Offer | None = None, *hosts: str, advert: bool = False) -> Seen:
    return Seen(carrier=True, offer=offer, advert=advert, hosts=set(hosts))


@pytest.mark.parametrize(
    ("offer", "hosts", "mode"),
    [
        (PRIVATE, (), "bridge"),
        (PRIVATE, ("192.168.1.30", "192.168.1.31"), "bridge"),
        (PRIVATE, ("10.0.0.5", "10.0.0.6"), "router"),
        (PUBLIC, (), "router"),
        (CARRIER_NAT, (), "router"),
    ],
)
def test_the_likeliest_mode_comes_first_and_the_other_is_there(
    offer: Offer | None, hosts: tuple[str, ...], mode: str
) -> None:
    found = proposed(seen(offer), seen(None, *hosts))
    other = "router" if mode == "bridge" else "bridge"
    assert found == [(mode, "p0"), (other, "p0")]


def test_where_nobody_gives_addresses_no_router_is_tried() -> None:
    """It would have no address itself, and take theirs from machines whose own are fixed, each quarter of an hour."""
    router, fixed = seen(advert=True), seen(None, "192.168.7.2")
    assert proposed(seen(None, "192.168.7.2", "192.168.7.3"), seen(None, "192.168.7.1"))[0] == (
        "bridge",
        "p1",
    )
    assert proposed(router, fixed) == [("bridge", "p0")]
    assert proposed(router, fixed, Plan("router", "p0", "p1", "192.168.213.1/24")) == [("router", "p0")]
    assert proposed(router, fixed, wanted="router") == [("router", "p0"), ("bridge", "p0")]


def test_the_socket_with_the_router_is_the_internet_whichever_it_is() -> None:
    assert proposed(seen(), seen(PRIVATE))[0] == ("bridge", "p1")
    assert proposed(seen(advert=True), seen())[0][1] == "p0"


def test_who_gives_addresses_in_the_lan_is_not_taken_for_the_way_out() -> None:
    """The router that its offers name answers behind the other socket."""
    way_out = Seen(carrier=True, gateway=True)
    assert proposed(seen(PRIVATE), way_out) == [("bridge", "p1")]
    assert contradicts({"p0": seen(PRIVATE), "p1": way_out}, Plan("bridge", "p0", "p1"))
    assert not contradicts({"p0": seen(PRIVATE), "p1": way_out}, Plan("bridge", "p1", "p0"))


def test_two_routers_are_both_tried_the_public_one_first() -> None:
    found = proposed(seen(PRIVATE), seen(PUBLIC))
    assert found[0] == ("router", "p1") and ("bridge", "p0") in found


def test_what_was_proved_and_what_a_person_wants_come_first() -> None:
    last = Plan("router", "p0", "p1", "192.168.213.1/24")
    assert proposed(seen(PRIVATE), seen(), last)[0] == ("router", "p0")
    assert proposed(seen(PUBLIC), seen(), wanted="bridge")[0] == ("bridge", "p0")


def test_two_cables_to_one_network_are_never_bridged() -> None:
    loop = Seen(carrier=True, loop=True)
    assert plans({"p0": seen(PRIVATE), "p1": loop}, last=None) == []
    assert trouble({"p0": seen(PRIVATE), "p1": loop}) == "same_network"
    assert trouble({"p0": Seen(), "p1": Seen()}) == "no_cable"
    assert plans({"p0": seen(PRIVATE)}, last=None) == []


def test_exchanged_cables_contradict_a_plan_and_a_silent_router_does_not() -> None:
    plan = Plan("bridge", "p0", "p1")
    assert contradicts({"p0": seen(), "p1": seen(PRIVATE)}, plan)
    assert not contradicts({"p0": seen(), "p1": seen()}, plan)
    assert not contradicts({"p0": seen(PRIVATE), "p1": seen(PRIVATE)}, plan)


def test_the_network_of_the_lan_is_never_the_operators() -> None:
    offer = Offer("192.168.213.9/24", "192.168.213.1", "192.168.213.1")
    router = next(p for p in plans({"p0": seen(offer), "p1": seen()}, last=None) if p.mode == "router")
    assert router.lan_network and not router.lan_network.startswith("192.168.213.")
    everything = Offer("192.168.1.9/0", "192.168.1.1", "192.168.1.1")
    assert plans({"p0": seen(everything), "p1": seen()}, last=None), "a mask that leaves no network is no end"
    in_force = Plan("router", "p0", "p1", "192.168.213.1/24")
    assert contradicts({"p0": seen(offer), "p1": seen()}, in_force)
    assert not contradicts({"p0": seen(PUBLIC), "p1": seen()}, in_force)
    assert not contradicts({"p0": seen(everything), "p1": seen()}, in_force), (
        "there is none to choose instead"
    )


def test_the_files_of_a_plan_name_its_ports_and_its_settings_are_the_box_s() -> None:
    bridge, router = Plan("bridge", "p0", "p1"), Plan("router", "p0", "p1", "192.168.213.1/24")
    made = files(bridge, "02:00:00:00:00:01")
    assert "MACAddress=02:00:00:00:00:01" in made["50-beffroi-br0.netdev"]
    assert "Bridge=br0" in made["50-beffroi-p0.network"] and "Bridge=br0" in made["50-beffroi-p1.network"]
    assert "DHCPServer=yes" in files(router)["50-beffroi-p1.network"]
    assert settings(bridge)["management"] == "br0" and settings(router)["masquerade"] is True


def answer(kind: int, *options: bytes, address: bytes = b"\xc0\xa8\x01\x14") -> bytes:
    body = b"\2\1\6\0" + XID + bytes(8) + address + bytes(216) + b"\x63\x82\x53\x63"
    body += bytes([53, 1, kind]) + b"".join(options) + b"\xff"
    udp = struct.pack(">HHHH", 67, 68, 8 + len(body), 0) + body
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, b"\xc0\xa8\1\1", b"\xff" * 4)
    return b"\xff" * 6 + b"\2" * 6 + b"\x08\0" + ip + udp


def test_an_offer_is_read_with_its_mask_and_router() -> None:
    mask, router = b"\1\4\xff\xff\xff\0", b"\3\4\xc0\xa8\1\1"
    assert parse_dhcp(answer(OFFER, mask, router), XID) == (OFFER, PRIVATE)
    assert parse_dhcp(answer(ACK, mask, router), XID)[0] == ACK
    assert parse_dhcp(answer(OFFER, mask, router), b"\0\0\0\0") == (0, None), "somebody else's answer"
    assert parse_dhcp(answer(OFFER, b"\1\4\xff\0\xff\0", router), XID) == (0, None), "no mask is like that"


@hypothesis_settings(deadline=None)
@given(st.binary(max_size=700), st.integers(0, 400))
def test_no_frame_of_a_stranger_breaks_the_look(noise: bytes, at: int) -> None:
    whole = answer(OFFER, b"\1\4\xff\xff\xff\0", b"\3\4\xc0\xa8\1\1")
    for frame in (noise, whole[:at], whole[:at] + noise, b"\0" * 12 + b"\x86\xdd" + noise):
        parse_dhcp(frame, XID)
        is_advert(frame)
        arp_sender(frame)
