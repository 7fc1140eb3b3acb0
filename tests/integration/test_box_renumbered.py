"""The operator gives other addresses while no cable moves: a new IPv4 address and network, a new prefix of IPv6."""

from __future__ import annotations

import msgspec
import pytest

from tests.town_hall import good_policy, needs_network, town_hall
from tests.town_hall_network import BOX, EVIL, EVIL6, GOOD, LAN, NET, WAN_NET, WAN_NET6, connects, run
from tests.waiting import until

pytestmark = needs_network
PREFIXES = {"-4": ("185.10.20.", "185.10.66.", 24), "-6": ("2a0c:e300:1::", "2a0c:e300:66::", 64)}
"""By ip(8)'s option: the former one, the later one, its length."""


def renumber(*, bridge: bool) -> None:
    """As systemd-networkd does it: the former addresses go, what is new comes, and the default routes with it."""
    ends = [(NET, "n0", 1), (BOX, "br0" if bridge else "wan", 2)] + ([(LAN, "l0", 3)] if bridge else [])
    for family, (former, later, length) in PREFIXES.items():
        for space, link, number in ends:
            run("ip", "-n", space, family, "addr", "del", f"{former}{number}/{length}", "dev", link)
            run("ip", "-n", space, family, "addr", "add", f"{later}{number}/{length}", "dev", link)
            if space != NET or not bridge:
                way = f"{later}{2 if space == NET else 1}"
                run("ip", "-n", space, family, "route", "replace", "default", "via", way)
    for centre in (f"{WAN_NET}/32", f"{WAN_NET6}/128"):  # it moves nowhere
        run("ip", "-n", NET, "addr", "add", centre, "dev", "lo")


@pytest.mark.parametrize("bridge", [False, True], ids=["router", "bridge"])
def test_people_the_feed_blocks_and_policies_go_on(*, bridge: bool) -> None:
    with town_hall(bridge=bridge) as hall:
        renumber(bridge=bridge)
        until(lambda: connects(LAN, GOOD) and connects(LAN, EVIL6), "no way out")
        hall.block(EVIL, EVIL6)
        assert not connects(LAN, EVIL) and not connects(LAN, EVIL6) and connects(LAN, GOOD)
        proved = hall.centre.set_policy(
            msgspec.structs.replace(good_policy(bridge=bridge), honeyports=(2323,))
        )
        until(lambda: hall.centre.policy_versions[-1] == proved, f"not proved: {hall.log()}")
        assert connects(LAN, GOOD)
        hall.connected()
