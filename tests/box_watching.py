"""What tests of a box that watches ask and do."""

from __future__ import annotations

import json
import socket
import subprocess
from typing import Any

import msgspec
import pytest
from beffroi_protocol.facts import (
    Fact,
    Sighting,
)

from tests.town_hall import TownHall, good_policy
from tests.town_hall_network import (
    BOX,
    NET,
    family,
    inside,
    run,
    socket_in,
)
from tests.waiting import PATIENCE_S, until


@pytest.fixture
def hall(hall: TownHall) -> TownHall:
    """That of the module, which has told nothing yet."""
    hall.centre.facts.clear()
    return hall


def policy(hall: TownHall, **values: Any) -> None:
    """A policy in force."""
    version = hall.centre.set_policy(msgspec.structs.replace(good_policy(), **values))
    until(lambda: hall.centre.policy_versions[-1] == version, f"not proved: {hall.log()}")


def facts[F: Fact](hall: TownHall, kind: type[F]) -> list[F]:
    return [fact for fact in list(hall.centre.facts.values()) if isinstance(fact, kind)]


def sightings(hall: TownHall, detector: str) -> list[Sighting]:
    return [fact for fact in facts(hall, Sighting) if fact.detector == detector]


def read_by_the_box(address: str) -> None:
    """Wait until it has read what the kernel counted of flows to this address: each ten seconds, on a busy machine
    later, and a look at the days before that came first finds nothing."""
    counted = inside(BOX, "nft", "-j", "list", "set", "inet", "beffroi", "met6" if ":" in address else "met4")

    def is_read() -> bool:
        (listed,) = (one["set"] for one in json.loads(run(*counted))["nftables"] if "set" in one)
        flows = [one["elem"] for one in listed.get("elem", ())]
        return not any(one["counter"]["packets"] for one in flows if address in one["val"]["concat"])

    until(is_read, f"flows to {address} are not read")


def no_machine_is_named(hall: TownHall) -> bool:
    return not any(pc in repr(hall.centre.facts) for pc in hall.pc)


def from_net(source: str, to: str, port: int, *, timeout_s: float = 1.0) -> bool:
    """True when a connection from an address of the internet was completed."""
    with socket_in(NET, family(source), socket.SOCK_STREAM) as client:
        client.settimeout(timeout_s)
        client.bind((source, 0))
        return client.connect_ex((to, port)) == 0


def fails(space: str, *argv: str) -> int:
    return subprocess.run(
        inside(space, *argv), capture_output=True, check=False, timeout=PATIENCE_S
    ).returncode


def connects_only(space: str, address: str, port: int) -> bool:
    with socket_in(space, socket.AF_INET, socket.SOCK_STREAM) as client:
        return client.connect_ex((address, port)) == 0
