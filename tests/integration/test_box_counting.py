"""What was refused, counted in a real kernel: a hundred attempts by three remotes, repeated as TCP repeats them."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator

import msgspec
import pytest
from beffroi_box.agent import SLOW_EVERY_S
from beffroi_protocol.facts import FlowsBlocked, RefusedTotals

from tests.conftest import Commune
from tests.fixtures_portal import no_door, portal_client
from tests.fixtures_portal_mail import shown_mail
from tests.markup import flat
from tests.town_hall import TownHall, needs_network, town_hall
from tests.town_hall_network import (
    BOX,
    ECHO_PORT,
    EVIL,
    EVIL6,
    GOOD,
    LAN,
    NET,
    connect,
    connects,
    echoes,
    family,
    inside,
    run,
    socket_in,
)
from tests.waiting import until

__all__ = ["no_door", "shown_mail"]
pytestmark = needs_network
REPETITION_S = 1.2  # the kernel sends a SYN again after a second


@pytest.fixture
def hall() -> Iterator[TownHall]:
    with town_hall() as hall:
        yield hall


def counters() -> dict[str, int]:
    listed = json.loads(run(*inside(BOX, "nft", "-j", "list", "counters", "table", "inet", "beffroi")))
    return {c["counter"]["name"]: c["counter"]["packets"] for c in listed["nftables"] if "counter" in c}


def knock(remote: str, pc: str, ports: range) -> None:
    """Begin a connection to each port from ``remote``, and let TCP repeat each once."""
    begun = []
    for port in ports:
        client = socket_in(NET, family(remote), socket.SOCK_STREAM)
        client.setblocking(False)
        client.bind((remote, 0))
        client.connect_ex((pc, port))
        begun.append(client)
    time.sleep(REPETITION_S)
    for client in begun:
        client.close()


def told(hall: TownHall, direction: str) -> dict[str, int]:
    """Attempts by remote, as the centre was told."""
    found: dict[str, int] = {}
    for fact in hall.centre.facts.values():
        if isinstance(fact, FlowsBlocked) and fact.direction == direction:
            found[fact.indicator.value] = found.get(fact.indicator.value, 0) + fact.count
    return found


def sums(hall: TownHall) -> dict[str, tuple[int, int]]:
    """Packets and attempts by direction, as the centre was told."""
    found = {"in": (0, 0), "out": (0, 0)}
    for fact in hall.centre.facts.values():
        if isinstance(fact, RefusedTotals):
            packets, attempts = found[fact.direction]
            found[fact.direction] = (packets + fact.packets, attempts + fact.attempts)
    return found


def test_a_hundred_attempts_of_three_remotes_are_told_as_a_hundred(hall: TownHall) -> None:
    hall.block(EVIL, EVIL6, GOOD)
    hall.centre.facts.clear()
    for remote, ports in ((EVIL, range(1000, 1060)), (GOOD, range(2000, 2030)), (EVIL6, range(3000, 3010))):
        knock(remote, hall.pc[":" in remote], ports)
    knock(EVIL, hall.pc[0], range(1000, 1060))  # new connections to the same ports within minutes: told once
    expected = {EVIL: 60, GOOD: 30, EVIL6: 10}
    until(lambda: sum(told(hall, "in").values()) >= 100, f"not told: {told(hall, 'in')}")
    time.sleep(1)
    assert told(hall, "in") == expected
    kernel = counters()
    assert kernel["attempts_in"] == 100
    assert kernel["blocked_in"] >= 2 * (100 + 60), "every packet is counted, repetitions too"
    end = time.monotonic() + 2 * SLOW_EVERY_S
    while sums(hall)["in"][0] < kernel["blocked_in"] and time.monotonic() < end:
        time.sleep(0.2)
    packets, attempts = sums(hall)["in"]
    assert kernel["blocked_in"] <= packets <= counters()["blocked_in"]
    assert attempts == 100


def test_a_repetition_is_refused_before_a_connection_is_sought_and_never_what_is_no_longer_listed(
    hall: TownHall,
) -> None:
    # Sees what was not refused before connections are sought (priority -200).
    rule = f"ip saddr {EVIL} tcp dport {ECHO_PORT} counter"
    chain = f"chain later {{ type filter hook prerouting priority -299; {rule}; }}"
    run(*inside(BOX, "nft", "-f", "-"), stdin=f"table inet seen {{ {chain} \n}}\n")

    def later() -> int:
        text = run(*inside(BOX, "nft", "list", "table", "inet", "seen"))
        return int(re.findall(r"counter packets (\d+)", text)[0])

    ids = hall.block(EVIL)
    knock(EVIL, hall.pc[0], range(ECHO_PORT, ECHO_PORT + 1))
    first = counters()
    assert later() == 1 and first["attempts_in"] == 1 and first["blocked_in"] >= 2
    hall.unblock(*ids)
    with socket_in(NET, socket.AF_INET, socket.SOCK_STREAM) as client:
        client.bind((EVIL, 0))
        assert client.connect_ex((hall.pc[0], ECHO_PORT)) == 0, (
            "the attempt is remembered, the source is not listed"
        )
    assert counters()["blocked_in"] == first["blocked_in"]


@pytest.mark.django_db
def test_the_mayor_reads_a_hundred(hall: TownHall, beaune: Commune, shown_mail: object) -> None:
    """From packets to the page: every fact as the centre received it, through the worker's consumer."""
    from beffroi.boxes.consumers import take_in_fact
    from beffroi.boxes.models import Box
    from beffroi.core.events.models import InboxFact
    from beffroi.core.events.registry import Event
    from beffroi.lib import clock

    hall.block(EVIL, EVIL6, GOOD)
    hall.centre.facts.clear()
    for remote, ports in ((EVIL, range(1000, 1060)), (GOOD, range(2000, 2030)), (EVIL6, range(3000, 3010))):
        knock(remote, hall.pc[":" in remote], ports)
    until(lambda: sum(told(hall, "in").values()) >= 100, f"not told: {told(hall, 'in')}")
    Box.objects.create(
        id="box_1",
        collectivite_id=beaune.id,
        serial="BF-1",
        public_key="A" * 43,
        fingerprint="k7qd",
        state="active",
        last_seen_at=clock.now(),
    )
    for twice in range(2):  # what comes twice is counted once
        for number, fact in enumerate(hall.centre.facts.values()):
            _, new = InboxFact.objects.get_or_create(
                pk=fact.id,
                defaults={
                    "source": "box_1",
                    "collectivite_id": beaune.id,
                    "payload": msgspec.json.encode(fact).decode(),
                },
            )
            if new:
                event = Event(number, "fact:received", beaune.id, {"fact_id": fact.id}, clock.now())
                take_in_fact(event)
            assert new or twice
    page = flat(portal_client(beaune.agent_membership).get("/").content.decode())
    assert "<dt>connexions venues d’internet arrêtées par le boîtier</dt><dd>100</dd>" in page
    assert "<dt>connexions parties de la mairie arrêtées par le boîtier</dt><dd>0</dd>" in page


def test_a_flow_that_is_cut_is_one_attempt_and_its_answers_are_none(hall: TownHall) -> None:
    client = connect(LAN, EVIL)
    assert client is not None
    hall.block(EVIL)
    with client:
        assert not echoes(client)
    assert not connects(LAN, EVIL), "a connection that begins anew"
    until(lambda: told(hall, "out"), "not told")
    time.sleep(1)
    assert told(hall, "out") == {EVIL: 1}
    assert told(hall, "in") == {}


def test_a_flood_of_one_remote_hides_nobody(hall: TownHall) -> None:
    """Far more packets than the log may carry; the one attempt of another remote is told all the same."""
    hall.block(EVIL, GOOD)
    hall.centre.facts.clear()
    with socket_in(NET, socket.AF_INET, socket.SOCK_DGRAM) as flood:
        flood.bind((EVIL, 0))
        for number in range(20_000):
            flood.sendto(b"x", (hall.pc[0], 40_000))
            if number == 10_000:
                knock(GOOD, hall.pc[0], range(22, 23))
    until(lambda: set(told(hall, "in")) == {EVIL, GOOD}, f"not told: {told(hall, 'in')}")
    time.sleep(1)
    assert told(hall, "in") == {EVIL: 1, GOOD: 1}
    assert counters()["blocked_in"] >= 20_000
