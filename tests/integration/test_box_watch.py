"""The box watches: real kernel, real connections: diary, traps, detection, exceptions, observation."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from beffroi_protocol.messages import (
    Action,
    Bypass,
    Fact,
    FlowsBlocked,
    FlowsLearned,
    InboundRule,
    LookBack,
    NamesRefused,
    Sighting,
)

from tests.fixtures_box import (
    BOX,
    ECHO_PORT,
    EVIL,
    EVIL6,
    GOOD,
    LAN,
    LAN_BOX,
    LISTED,
    NET,
    UNLISTED,
    WAN_BOX,
    WAN_NET,
    TownHall,
    connects,
    entry,
    family,
    good_policy,
    inside,
    look_up,
    run,
    socket_in,
    town_hall,
    until,
)

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.slow]
REFUSED = 3
HONEY = 23


@pytest.fixture(scope="module")
def running() -> Iterator[TownHall]:
    with town_hall() as hall:
        yield hall


@pytest.fixture
def hall(running: TownHall) -> Iterator[TownHall]:
    running.centre.facts.clear()
    yield running
    running.clear()


def policy(hall: TownHall, **values: Any) -> None:
    """A policy in force."""
    version = hall.centre.set_policy(good_policy(**values))
    until(lambda: hall.centre.policy_versions[-1] == version, f"not proved: {hall.log()}")


def facts[F: Fact](hall: TownHall, kind: type[F]) -> list[F]:
    return [fact for fact in list(hall.centre.facts.values()) if isinstance(fact, kind)]


def sightings(hall: TownHall, detector: str) -> list[Sighting]:
    return [fact for fact in facts(hall, Sighting) if fact.detector == detector]


def no_machine_is_named(hall: TownHall) -> bool:
    return not any(pc in repr(hall.centre.facts) for pc in hall.pc)


def from_net(source: str, to: str, port: int, *, timeout_s: float = 1.0) -> bool:
    """True when a connection from an address of the internet was completed."""
    with socket_in(NET, family(source), socket.SOCK_STREAM) as client:
        client.settimeout(timeout_s)
        client.bind((source, 0))
        return client.connect_ex((to, port)) == 0


def publish_to_this_commune(hall: TownHall, *values: str, action: Action = Action.ALLOW) -> None:
    """Entries of the overlay of this collectivité, as a snapshot of its channel."""
    centre = hall.centre
    entries = tuple(
        msgspec.structs.replace(entry(value, centre.now() + 3600), action=action) for value in values
    )
    centre.say(centre.overlay(*entries))


@pytest.mark.parametrize("evil", [EVIL, EVIL6])
def test_a_new_entry_is_answered_by_what_the_lan_met_before_it(hall: TownHall, evil: str) -> None:
    for _ in range(3):
        assert connects(LAN, evil)
    time.sleep(11)  # the kernel's counts are read every ten seconds
    (entry_id,) = hall.block(evil)
    until(lambda: facts(hall, LookBack), "nothing is said of the days before")
    fact = facts(hall, LookBack)[0]
    assert (fact.entry_id, fact.indicator.value, fact.days) == (entry_id, evil, 1)
    assert fact.count >= 3 and fact.first_at <= fact.last_at <= hall.centre.now()
    assert no_machine_is_named(hall)
