"""The box watches: real kernel, real connections: diary, traps, detection, exceptions, observation."""

from __future__ import annotations

import socket
import time

import msgspec
import pytest
from beffroi_box.lanprobe import FAR_ADDRESS, FAR_ADDRESS6
from beffroi_protocol.facts import (
    FlowsBlocked,
    FlowsLearned,
    LookBack,
    NamesRefused,
    PolicyRolledBack,
)
from beffroi_protocol.indicators import Kind
from beffroi_protocol.messages import Action, InboundRule

from tests.box_watching import (
    facts,
    fails,
    from_net,
    hall,
    no_machine_is_named,
    policy,
    read_by_the_box,
    sightings,
)
from tests.town_hall import ROOT, TownHall, entry, good_policy, needs_network
from tests.town_hall_network import (
    BOX,
    ECHO_PORT,
    EVIL,
    EVIL6,
    GOOD,
    LAN,
    LAN_BOX,
    LISTED,
    NET,
    REFUSED,
    UNLISTED,
    WAN_NET6,
    connects,
    inside,
    look_up,
    run,
    socket_in,
)
from tests.waiting import until

__all__ = ["hall"]
pytest_plugins = ["tests.fixtures_box"]
pytestmark = needs_network


@pytest.mark.parametrize("evil", [EVIL, EVIL6])
def test_a_new_entry_is_answered_by_what_the_lan_met_before_it(hall: TownHall, evil: str) -> None:
    for _ in range(3):
        assert connects(LAN, evil)
    read_by_the_box(evil)
    (entry_id,) = hall.block(evil)
    until(lambda: facts(hall, LookBack), "nothing is said of the days before")
    fact = facts(hall, LookBack)[0]
    assert (fact.entry_id, fact.indicator.value, fact.days) == (entry_id, evil, 1)
    assert fact.count >= 3 and fact.first_at <= fact.last_at <= hall.centre.now()
    assert no_machine_is_named(hall)


@pytest.mark.slow
def test_a_policy_makes_a_short_beacon_seen(hall: TownHall) -> None:
    policy(hall, beacon_from_s=10, beacon_beats=8)
    began = time.monotonic()
    for number in range(11):
        assert connects(LAN, EVIL)
        if sightings(hall, "beacon"):
            break
        time.sleep(max(0.0, began + (number + 1) * 12 - time.monotonic()))
    until(lambda: sightings(hall, "beacon"), "not seen")
    seen = sightings(hall, "beacon")[0]
    assert seen.indicators[0].value == EVIL and seen.evidence["beats"] == "8"
    assert 10 <= int(seen.evidence["interval_s"]) <= 14
    assert no_machine_is_named(hall)


def test_a_list_is_looked_for_in_the_diary_and_answered_once(hall: TownHall) -> None:
    for _ in range(3):
        assert connects(LAN, EVIL)
    read_by_the_box(EVIL)
    servers = hall.centre.bulk_list(
        "servers", Kind.IP, [EVIL, *(f"51.15.{n // 250}.{n % 250}" for n in range(5000))]
    )
    hall.listed(servers, hall.centre.bulk_list("nets", Kind.CIDR, ["203.0.113.128/25"]))
    until(lambda: facts(hall, LookBack), "nothing is said of the days before")
    (fact,) = facts(hall, LookBack)
    assert (fact.entry_id, fact.indicator.value) == ("servers", EVIL)
    assert fact.days in (1, 2), "of the calendar: midnight may lie between"
    assert fact.count >= 3 and fact.values == 1 and fact.first_at <= fact.last_at <= hall.centre.now()
    assert no_machine_is_named(hall)
    hall.listed(hall.centre.bulk_list("servers", Kind.IP, [EVIL, "51.15.200.1"]))
    hall.listed(hall.centre.bulk_list("more", Kind.IP, [EVIL]))
    until(lambda: len(facts(hall, LookBack)) > 1, "another list is another question")
    assert sorted(one.entry_id for one in facts(hall, LookBack)) == ["more", "servers"]


def test_a_name_is_looked_back_on_by_the_addresses_that_the_recursor_remembers(hall: TownHall) -> None:
    name = "depot-factures.com"
    assert look_up(LAN, name, LAN_BOX) == 0 and connects(LAN, GOOD)  # every name here has the good address
    read_by_the_box(GOOD)
    (entry_id,) = hall.block(name)
    until(lambda: [f for f in facts(hall, LookBack) if f.entry_id == entry_id], "nothing is said")


def test_new_names_of_a_list_are_looked_back_on_by_the_addresses_that_the_recursor_remembers(
    hall: TownHall,
) -> None:
    names = [f"lure{n}.example.net" for n in range(3000)]
    met, other = "depot-factures.com", "jamais-demande.com"  # every name here has the good address
    assert look_up(LAN, met, LAN_BOX) == 0 and connects(LAN, GOOD)
    read_by_the_box(GOOD)

    def told() -> list[tuple[str, str, int]]:
        return sorted((f.entry_id, f.indicator.value, f.values) for f in facts(hall, LookBack))

    hall.listed(hall.centre.bulk_list("names", Kind.DOMAIN, [met, other, *names]))
    until(told, f"nothing is said: {hall.log()}")
    assert told() == [("names", met, 1)] and no_machine_is_named(hall)
    hall.listed(hall.centre.bulk_list("names", Kind.DOMAIN, [met, "encore.example.net"]))
    hall.listed(hall.centre.bulk_list("more", Kind.DOMAIN, [met]))
    until(lambda: len(told()) > 1, "another list is another question")
    assert told() == [("more", met, 1), ("names", met, 1)]


def test_an_observed_entry_is_counted_and_never_refused(hall: TownHall) -> None:
    centre = hall.centre
    observed = [
        msgspec.structs.replace(entry(value, centre.now() + 3600), action=Action.WARN)
        for value in ("45.83.64.0/28", LISTED)
    ]
    version = centre.publish(*observed)
    until(lambda: centre.enforced(version), "not taken")
    centre.facts.clear()
    assert connects(LAN, EVIL) and look_up(LAN, LISTED, LAN_BOX) == 0
    for one in observed:
        until(lambda one=one: any(f.entry_id == one.id for f in facts(hall, LookBack)), f"{one} not counted")
    assert not facts(hall, FlowsBlocked) and not facts(hall, NamesRefused)


def test_a_list_on_trial_refuses_nothing_is_counted_by_value_and_then_refuses(hall: TownHall) -> None:
    """What the centre spares or not follows from these facts: each value, on how many days."""
    assert connects(LAN, EVIL) and look_up(LAN, UNLISTED, LAN_BOX) == 0
    read_by_the_box(EVIL)
    trial = {
        one.name: msgspec.structs.replace(one, action=Action.WARN)
        for one in (
            hall.centre.bulk_list("hosts.trial", Kind.IP, [EVIL, "51.15.0.1"]),
            hall.centre.bulk_list("nets.trial", Kind.CIDR, ["2a0e:b107:10::/48"]),
            hall.centre.bulk_list("names.trial", Kind.DOMAIN, [LISTED]),
        )
    }
    hall.listed(*trial.values())

    def told(name: str, value: str) -> list[LookBack]:
        return [f for f in facts(hall, LookBack) if (f.entry_id, f.indicator.value) == (name, value)]

    until(lambda: told("hosts.trial", EVIL), "nothing is said of the days before")
    assert not told("hosts.trial", "51.15.0.1")
    assert connects(LAN, EVIL) and connects(LAN, EVIL6)
    until(lambda: look_up(LAN, f"www.{LISTED}", LAN_BOX) == 0, "refused")
    until(lambda: told("nets.trial", "2a0e:b107:10::/48"), "what is met beside it is not counted")
    until(lambda: told("names.trial", LISTED), f"the name is not counted {facts(hall, LookBack)}")
    assert hall.status()["lists"] == 0 and no_machine_is_named(hall)
    assert not facts(hall, FlowsBlocked) and not facts(hall, NamesRefused)
    # It passed: the same content under the list's own name, with nothing to fetch.
    hall.centre.publish(
        lists=tuple(
            msgspec.structs.replace(one, name=name[:-6], action=Action.BLOCK) for name, one in trial.items()
        ),
        lists_removed=tuple(trial),
    )
    until(lambda: not connects(LAN, EVIL) and not connects(LAN, EVIL6), f"not refused: {hall.log()}")
    until(lambda: look_up(LAN, f"www.{LISTED}", LAN_BOX) == REFUSED, "the name is not refused")
    until(lambda: hall.status()["lists"] == 3, "status")


def test_an_exception_of_this_commune_lifts_the_block_here_with_subdomains_and_ranges(hall: TownHall) -> None:
    hall.block(EVIL, "2a0e:b107:10::/64", LISTED)
    assert (
        not connects(LAN, EVIL)
        and not connects(LAN, EVIL6)
        and look_up(LAN, f"a.{LISTED}", LAN_BOX) == REFUSED
    )
    centre = hall.centre
    allowed = [
        msgspec.structs.replace(entry(value, centre.now() + 3600), action=Action.ALLOW)
        for value in ("45.83.64.0/29", EVIL6, f"www.{LISTED}")
    ]
    centre.say(centre.overlay(*allowed))
    until(lambda: connects(LAN, EVIL) and connects(LAN, EVIL6), "still refused")
    until(lambda: look_up(LAN, f"b.www.{LISTED}", LAN_BOX) == 0, "the name is still refused")
    assert look_up(LAN, LISTED, LAN_BOX) == REFUSED, "the exception is for the subdomain"
    centre.say(centre.overlay())
    until(lambda: not connects(LAN, EVIL) and not connects(LAN, EVIL6), "the exception ended")
    until(lambda: look_up(LAN, f"b.www.{LISTED}", LAN_BOX) == REFUSED, "the exception ended")


def test_while_it_observes_inbound_flows_pass_and_are_learned_and_then_are_refused(hall: TownHall) -> None:
    pc = hall.pc[0]
    end = hall.centre.now() + 25
    policy(hall, inbound_tcp_ports=(), observe_until=end)
    assert from_net(GOOD, pc, ECHO_PORT)
    with socket_in(LAN, socket.AF_INET, socket.SOCK_STREAM) as client:
        client.connect_ex((GOOD, 5938))  # remote maintenance; nobody answers here
    until(lambda: not from_net(GOOD, pc, ECHO_PORT, timeout_s=0.5), "default deny does not come")
    assert hall.centre.now() >= end
    policy(hall, inbound_tcp_ports=(), inbound=(InboundRule("tcp", ECHO_PORT, (f"{GOOD}/32",), "essai"),))
    assert from_net(GOOD, pc, ECHO_PORT) and not from_net(EVIL, pc, ECHO_PORT, timeout_s=0.5)
    until(lambda: len(facts(hall, FlowsLearned)) >= 2, f"not learned: {hall.centre.facts}")
    learned = {(f.direction, f.protocol, f.port, f.remote, f.service) for f in facts(hall, FlowsLearned)}
    assert learned == {("in", "tcp", ECHO_PORT, "45.83.64.0/24", ""), ("out", "tcp", 5938, "", "teamviewer")}


def test_an_observation_that_ends_during_a_trial_does_not_load_the_former_rules(hall: TownHall) -> None:
    """The LAN's way is cut while the policy is tried, and open again before its time is over."""
    policy(hall, observe_until=hall.centre.now() + 4)
    chain = 'chain c {\n type filter hook forward priority -200;\n iifname "bfprobe0" drop\n }\n'
    time.sleep(2.0)
    run(*inside(BOX, "nft", "-f", "-"), stdin=f"table inet cut {{\n {chain} }}\n")
    version = hall.centre.set_policy(msgspec.structs.replace(good_policy(), inbound_tcp_ports=(8123,)))
    rules = inside(BOX, "nft", "list", "table", "inet", "beffroi")
    until(lambda: "8123" in run(*rules), "the policy is tried")
    time.sleep(2.3)  # the observation of the former one ends
    run(*inside(BOX, "nft", "delete", "table", "inet", "cut"))
    until(
        lambda: (
            hall.centre.policy_versions[-1] == version
            or any(isinstance(f, PolicyRolledBack) for f in facts(hall, PolicyRolledBack))
        ),
        f"no end: {hall.log()}",
    )
    assert (hall.centre.policy_versions[-1] == version) == ("8123" in run(*rules))
    policy(hall)


PROBE = "from beffroi_box.lanprobe import lan_reaches; raise SystemExit(not lan_reaches('{}', 3))"


@pytest.mark.parametrize(
    ("target", "own"),
    [(GOOD, f"ip saddr {FAR_ADDRESS}"), (f"[{WAN_NET6}]", f"ip6 saddr {FAR_ADDRESS6}")],
    ids=["IPv4", "IPv6"],
)
def test_no_packet_of_the_lan_probe_leaves_the_box_under_its_own_address(
    hall: TownHall, target: str, own: str
) -> None:
    """Whatever becomes of the rules meanwhile."""
    rule = f"type filter hook prerouting priority -300\n {own} counter name n"
    counter = f"table inet seen {{\n counter n {{ }}\n chain c {{\n {rule}\n }}\n }}\n"
    run(*inside(NET, "nft", "-f", "-"), stdin=counter)
    try:
        probe = [
            "env",
            f"PYTHONPATH={ROOT}/packages/protocol:{ROOT}/packages/box",
            "/usr/bin/python3",
            "-c",
            PROBE.format(f"{target}:{ECHO_PORT}"),
        ]
        assert fails(BOX, *probe) == 0
        cut = 'chain c {\n type filter hook forward priority -200;\n iifname "bfprobe0" drop\n }\n'
        run(*inside(BOX, "nft", "-f", "-"), stdin=f"table inet cut {{\n {cut} }}\n")
        assert fails(BOX, *probe) == 1, "what the LAN does not reach is not reached"
        run(*inside(BOX, "nft", "delete", "table", "inet", "cut"))
        hall.kill("agent")  # it would bring the rules back
        run(*inside(BOX, "nft", "flush", "ruleset"))
        assert fails(BOX, *probe) == 1, "without rules nothing hides the probe, so it goes nowhere"
        assert "packets 0 " in run(*inside(NET, "nft", "list", "counter", "inet", "seen", "n"))
        assert "blackhole" not in run(*inside(BOX, "ip", "-4", "rule")) + run(
            *inside(BOX, "ip", "-6", "rule")
        )
    finally:
        run(*inside(NET, "nft", "delete", "table", "inet", "seen"))
        if "agent" not in hall.processes:
            hall.start_agent()
        hall.connected()


def test_the_agent_stays_small(hall: TownHall) -> None:
    memory = hall.memory_kib()
    assert memory["Pss"] < 60 * 1024, memory


def test_many_facts_are_posted_compressed(hall: TownHall) -> None:
    before = hall.centre.packed_bytes
    values = [f"185.10.20.{n}" for n in range(3, 40)] + ["impots.gouv.fr", "ants.gouv.fr"]
    for value in values:  # each is protected, so each is refused and told
        hall.centre.publish(entry(value, hall.centre.now() + 3600))
    hall.block(*(f"10.0.0.{n}" for n in range(60)))
    until(lambda: hall.centre.packed_bytes > before, f"only plain posts: {hall.log()}")


def test_a_source_that_begins_too_many_flows_a_second_is_slowed_and_others_are_not(hall: TownHall) -> None:
    policy(hall, inbound=(InboundRule("udp", 23410),))
    with socket_in(LAN, socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((hall.pc[0], 23410))
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        for _ in range(800):
            with socket_in(NET, socket.AF_INET, socket.SOCK_DGRAM) as flood:
                flood.bind((EVIL, 0))
                flood.sendto(b"flood", (hall.pc[0], 23410))
        with socket_in(NET, socket.AF_INET, socket.SOCK_DGRAM) as quiet:
            quiet.bind((GOOD, 0))
            quiet.sendto(b"quiet", (hall.pc[0], 23410))
        server.settimeout(0.5)
        came: list[bytes] = []
        while not came or came[-1] != b"quiet":
            came.append(server.recv(100))
    text = run(*inside(BOX, "nft", "list", "counter", "inet", "beffroi", "paced"))
    assert 300 <= len(came) < 800 and "packets 0 " not in text, (len(came), text)
