"""The relay for copiers and business software: what a policy says of it.

Purpose: a machine of the LAN that knows no modern mail sends through its box, as one mailbox of its commune.
Source:  docs/decisions/0045-relay-on-the-boitier.md.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

MEBIBYTE = 1 << 20
MAX_DEVICES, MAX_RECIPIENTS = 32, 64

Address = Annotated[
    str,
    msgspec.Meta(
        max_length=254, pattern=r"\A[A-Za-z0-9!#$%&'*+/=?^_{|}~.-]{1,64}@[a-z0-9-]+(\.[a-z0-9-]+)+\Z"
    ),
]
Recipients = Annotated[
    str,
    msgspec.Meta(
        max_length=254, pattern=r"\A[A-Za-z0-9!#$%&'*+/=?^_{|}~.-]{0,64}@[a-z0-9-]+(\.[a-z0-9-]+)+\Z"
    ),
]
"""One address, or ``@domain`` for every address of a domain."""
Place = Annotated[
    str, msgspec.Meta(pattern=r"\A([0-9]{1,3}(\.[0-9]{1,3}){3}|[0-9a-f]{2}(:[0-9a-f]{2}){5})\Z")
]
"""Where a machine of the LAN is: its IPv4 address, or its MAC address in lower case."""
Reason = Annotated[str, msgspec.Meta(pattern=r"\A[a-z_]{0,20}\Z")]


class Device(msgspec.Struct, frozen=True):
    """A copier or a program that may send. ``label``: what people call it; the centre is told of it by this name."""

    at: Place
    label: Annotated[str, msgspec.Meta(min_length=1, max_length=60)]


class Relay(msgspec.Struct, frozen=True):
    """``sender``: mailbox of the commune in whose name everything goes. ``host``, ``port``: the centre's submission.

    ``hour``: mails within an hour, of all devices together.
    """

    sender: Address
    host: Annotated[str, msgspec.Meta(min_length=1, max_length=253)]
    devices: Annotated[tuple[Device, ...], msgspec.Meta(min_length=1, max_length=MAX_DEVICES)]
    recipients: Annotated[tuple[Recipients, ...], msgspec.Meta(min_length=1, max_length=MAX_RECIPIENTS)]
    hour: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 60
    size_bytes: Annotated[int, msgspec.Meta(ge=MEBIBYTE, le=50 * MEBIBYTE)] = 20 * MEBIBYTE
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 587

    def takes(self, recipient: str) -> bool:
        """Whether it sends to this address; capitals do not count."""
        address = recipient.lower()
        wanted = {one.lower() for one in self.recipients}
        return address in wanted or f"@{address.rpartition('@')[2]}" in wanted
