"""Addresses of a range are found by how their text begins."""

from __future__ import annotations

import ipaddress

from beffroi.core.decisions.rules import shared_text
from hypothesis import example, given
from hypothesis import strategies as st

addresses = st.ip_addresses(v=4) | st.ip_addresses(v=6)


@given(addresses, st.integers(8, 128), st.integers(0, 2**120 - 1))
@example(ipaddress.ip_address("2a0b::"), 48, 1 << 64 | 1)
def test_every_address_of_a_range_begins_with_what_all_of_them_share(
    base: ipaddress.IPv4Address | ipaddress.IPv6Address, bits: int, offset: int
) -> None:
    network = ipaddress.ip_network(f"{base}/{min(bits, base.max_prefixlen)}", strict=False)
    assert str(network[offset % network.num_addresses]).startswith(shared_text(network))
