"""What a box tells the kernel of deny entries in netlink bytes, and what the kernel logs back."""

from __future__ import annotations

import struct

from beffroi_box.netlink import (
    DELSETELEM,
    DESTROYSETELEM,
    NEWSETELEM,
    NetlinkBatch,
    Operation,
    address_element,
    network_elements,
)
from beffroi_box.nflog import Blocked, parse
from hypothesis import given, settings
from hypothesis import strategies as st


def test_netlink_bytes_of_one_address_are_as_the_kernel_reads_them() -> None:
    element = address_element("45.83.64.7", timeout_ms=60_000)
    key = bytes.fromhex("0c000180 08000100 2d534007".replace(" ", ""))
    timeout = bytes.fromhex("0c000400 000000000000ea60".replace(" ", ""))
    assert element == struct.pack("=HH", 28, 0x8001) + key + timeout


def test_netlink_bytes_of_a_prefix_are_a_start_and_an_end() -> None:
    start, end = address_element("45.83.64.0"), network_elements("45.83.64.0/24")
    assert end.startswith(start)
    assert bytes([45, 83, 65, 0]) in end[len(start) :]
    assert end.endswith(bytes.fromhex("0800030000000001"))
    # The last prefix of the address space has no address after it.
    assert network_elements("255.255.255.0/24") == address_element("255.255.255.0")


def messages(data: bytes) -> list[tuple[int, int, bytes]]:
    found, offset = [], 0
    while offset < len(data):
        length, kind, flags, _, _ = struct.unpack_from("=IHHII", data, offset)
        found.append((kind, flags, data[offset + 20 : offset + length]))
        offset += (length + 3) & ~3
    return found


def test_one_batch_is_one_transaction_acknowledged_once() -> None:
    batch = NetlinkBatch("beffroi")
    batch.add(Operation(DELSETELEM, "cold4"))
    batch.add(Operation(DESTROYSETELEM, "hot4", [address_element("45.83.64.7")]))
    batch.add(Operation(NEWSETELEM, "hot4", [address_element("45.83.64.7", timeout_ms=5)]))
    batch.add(Operation(NEWSETELEM, "hot6", []))
    found = messages(batch.finish())
    assert [kind & 0xFF for kind, _, _ in found] == [16, DELSETELEM, DESTROYSETELEM, NEWSETELEM, 17]
    assert [flags for _, flags, _ in found] == [1, 1, 1, 0x401, 5]
    assert (
        found[1][2] == struct.pack("=HH", 12, 1) + b"beffroi\0" + struct.pack("=HH", 10, 2) + b"cold4\0\0\0"
    )


def test_many_elements_are_cut_into_messages_whose_lengths_fit_16_bits() -> None:
    batch = NetlinkBatch("beffroi")
    addresses = [f"10.{a}.{b}.1" for a in range(40) for b in range(100)]
    elements = [address_element(a, timeout_ms=1000) for a in addresses]
    batch.add(Operation(NEWSETELEM, "hot4", elements))
    bodies = [body for kind, _, body in messages(batch.finish()) if kind & 0xFF == NEWSETELEM]
    assert len(bodies) > 1 and all(len(body) < 65536 for body in bodies)
    assert b"".join(bodies).count(b"\x08\x00\x01\x00") == len(addresses)


def packet(prefix: bytes, payload: bytes, ethertype: int = 0x0800) -> bytes:
    def attribute(kind: int, data: bytes) -> bytes:
        return struct.pack("=HH", 4 + len(data), kind) + data + b"\0" * (-len(data) % 4)

    body = attribute(1, struct.pack(">HBx", ethertype, 1)) + attribute(10, prefix) + attribute(9, payload)
    return struct.pack("=IHHII", 20 + len(body), 0x400, 0, 0, 0) + b"\0\0\0\5" + body


V4 = bytes([0x45]) + bytes(8) + b"\x06" + bytes(2) + bytes([185, 11, 30, 2]) + bytes([45, 83, 64, 7])
V6 = b"\x60" + bytes(5) + b"\x11\x40" + bytes(15) + b"\x01" + bytes(15) + b"\x02"


def test_a_logged_packet_is_read_as_its_remote_side() -> None:
    out = parse(packet(b"bf:out\0", V4 + struct.pack(">HH", 50000, 443)))
    assert list(out) == [Blocked("out", "45.83.64.7", "tcp", 443, "185.11.30.2")]
    inward = parse(packet(b"bf:in\0", V6 + struct.pack(">HH", 53, 1234), 0x86DD))
    assert list(inward) == [Blocked("in", "::1", "udp", 1234, "::2")]


@given(data=st.binary(max_size=200), cut=st.integers(0, 90))
@settings(deadline=None)
def test_odd_records_of_the_log_are_skipped(data: bytes, cut: int) -> None:
    whole = packet(b"bf:out\0", V4 + data)
    list(parse(data))
    list(parse(whole[:cut]))
    assert len(list(parse(whole))) <= 1
