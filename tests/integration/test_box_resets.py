"""A refused connection says so at once: a PC that waits for a time-out looks like a broken network."""

from __future__ import annotations

import errno
import socket

import pytest

from tests.town_hall import needs_network, town_hall
from tests.town_hall_network import EVIL, EVIL6, LAN, family, socket_in

pytestmark = needs_network


@pytest.mark.parametrize("bridge", [False, True], ids=["router", "bridge"])
def test_a_pc_is_told_at_once_that_its_connection_is_refused(bridge: bool) -> None:
    with town_hall(bridge=bridge) as hall:
        hall.block(EVIL, EVIL6)
        for evil in (EVIL, EVIL6):
            with socket_in(LAN, family(evil), socket.SOCK_STREAM) as client:
                assert client.connect_ex((evil, 443)) == errno.ECONNREFUSED, evil
