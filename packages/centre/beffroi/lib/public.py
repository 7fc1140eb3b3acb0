"""Which addresses of the network a name from outside may lead to. Pure.

Purpose: whoever connects to a name that somebody typed, or that another's DNS told, asks here with the address it then
         connects to: nothing behind the centre is reached so.
Hostile: the address; there are several spellings of one IPv4 address in IPv6, and gateways that follow them.
Source:  IANA's registries of special-purpose addresses (by ``ipaddress``); RFC 4291, RFC 6052, RFC 8215, RFC 3056.
"""

from __future__ import annotations

import ipaddress

type Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_UNICAST = ipaddress.ip_network("2000::/3")
"""All of IPv6 that is given out for hosts; site-local, IPv4-compatible and IPv4-translated addresses lie outside."""
_6TO4_RELAYS = ipaddress.ip_network("192.88.99.0/24")


def reached(text: str) -> Address:
    """The address that a connection to ``text`` reaches: the IPv4 one of a mapped address, and of NAT64, which a
    resolver of such a network gives for every name. Errors: ValueError."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def is_public(address: Address) -> bool:
    """Whether it is a host's on the internet, by itself and without a tunnel to another address."""
    if not address.is_global or address.is_multicast:
        return False
    return address in _UNICAST if address.version == 6 else address not in _6TO4_RELAYS
