"""A box watches those who attack and those who were taken: scans, guessing, honeyports, command servers, tunnels."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Iterator

import msgspec
import pytest
from beffroi_protocol.facts import (
    Bypass,
    FlowsBlocked,
    NamesRefused,
    Sighting,
)
from beffroi_protocol.messages import InboundRule

from tests.box_watching import (
    connects_only,
    facts,
    fails,
    from_net,
    hall,
    no_machine_is_named,
    policy,
    sightings,
)
from tests.town_hall import ROOT, TownHall, entry, needs_network
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
    WAN_BOX,
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
HONEY = 23


@pytest.fixture
def unblocked(hall: TownHall) -> Iterator[TownHall]:
    """Sources refused for ten minutes are let in again for the next test."""
    yield hall
    for name in ("local4", "local6"):
        run(*inside(BOX, "nft", "flush", "set", "inet", "beffroi", name))


def test_a_port_scan_is_seen_and_its_source_refused_here_for_a_while(unblocked: TownHall) -> None:
    hall, pc = unblocked, unblocked.pc[0]
    policy(hall)
    assert from_net(EVIL, pc, ECHO_PORT)
    for port in range(8000, 8020):
        from_net(EVIL, pc, port, timeout_s=0.05)
    until(lambda: sightings(hall, "port_scan"), "not seen")
    (seen,) = sightings(hall, "port_scan")
    assert [i.value for i in seen.indicators] == [EVIL]
    assert seen.evidence["completed_tcp"] == "false" and int(seen.evidence["ports"]) >= 15
    assert not from_net(EVIL, pc, ECHO_PORT) and from_net(GOOD, pc, ECHO_PORT)
    assert connects(LAN, EVIL), "a forged scan keeps nobody here from that address"


def test_password_guessing_is_seen_by_its_completed_connections(unblocked: TownHall) -> None:
    hall, pc = unblocked, unblocked.pc[0]
    policy(hall, inbound=(InboundRule("tcp", 22),))
    with socket_in(LAN, socket.AF_INET, socket.SOCK_STREAM) as server:
        server.bind((pc, 22))
        server.listen(4096)  # nobody takes them up

        def guess() -> list[Sighting]:
            """Until it is refused: on a busy machine the kernel's counts are read in the midst of it."""
            from_net(EVIL, pc, 22)
            return sightings(hall, "brute_force")

        until(guess, "not seen")
        (seen,) = sightings(hall, "brute_force")
        assert (seen.evidence["port"], seen.evidence["completed_tcp"]) == ("22", "true")
        assert not from_net(EVIL, pc, 22) and from_net(GOOD, pc, 22)


def test_a_completed_touch_of_a_honeyport_is_told_with_its_proof(unblocked: TownHall) -> None:
    hall = unblocked
    policy(hall, honeyports=(HONEY, 3389))
    acks = f"ip saddr {GOOD} tcp flags & (syn | ack) == ack drop"
    half = f"table inet half {{\n chain c {{\n type filter hook output priority 0\n {acks}\n }}\n }}\n"
    run(*inside(NET, "nft", "-f", "-"), stdin=half)
    try:
        from_net(GOOD, WAN_BOX, HONEY, timeout_s=0.3)  # SYN, SYN-ACK, and never an ACK: as a forged source
        assert from_net(EVIL, WAN_BOX, HONEY) and from_net(EVIL6, hall.pc[1], 3389)
        until(lambda: len(sightings(hall, "honeyport")) >= 2, "not told")
        told = {
            (f.indicators[0].value, f.evidence["port"], f.evidence["completed_tcp"])
            for f in sightings(hall, "honeyport")
        }
        assert told == {(EVIL, "23", "true"), (EVIL6, "3389", "true")}
    finally:
        run(*inside(NET, "nft", "delete", "table", "inet", "half"))
    assert not from_net(EVIL, hall.pc[0], ECHO_PORT, timeout_s=0.5), "refused here for a while"


def test_a_machine_of_the_lan_that_touches_a_honeyport_is_told_under_a_label(hall: TownHall) -> None:
    policy(hall, honeyports=(HONEY,))
    with socket_in(LAN, socket.AF_INET, socket.SOCK_STREAM) as client:
        assert client.connect_ex((LAN_BOX, HONEY)) == 0

    def told() -> list[Sighting]:
        return [f for f in sightings(hall, "honeyport") if f.evidence["side"] == "lan"]

    until(told, "not told")
    (seen,) = told()
    assert seen.indicators == ()
    assert seen.evidence["machine"].startswith("poste-") and no_machine_is_named(hall)
    labels = (hall.state / "labels.json").read_text()
    assert seen.evidence["machine"] in labels and hall.pc[0] in labels, "the local page can tell which one"


def refused(hall: TownHall) -> list[FlowsBlocked | NamesRefused]:
    return [*facts(hall, FlowsBlocked), *facts(hall, NamesRefused)]


def test_whoever_calls_a_command_server_is_found_on_the_spot_and_named_to_nobody_else(hall: TownHall) -> None:
    entries = [
        msgspec.structs.replace(entry(value, hall.centre.now() + 3600), reason="command_server")
        for value in (EVIL, EVIL6, LISTED)
    ]
    version = hall.centre.publish(*entries)
    until(lambda: hall.centre.enforced(version), "not enforced")
    assert not connects(LAN, EVIL) and not connects(LAN, EVIL6)
    look_up(LAN, LISTED, LAN_BOX)

    def named() -> set[str]:
        return {label for fact in refused(hall) for label in fact.machines}

    until(
        lambda: {e.id for e in entries} <= {fact.entry_id for fact in refused(hall) if fact.machines},
        f"not told: {hall.log()}",
    )
    assert len(named()) == 2, "one label for each address of the machine"
    assert no_machine_is_named(hall)
    path = f"PYTHONPATH={ROOT}/packages/protocol:{ROOT}/packages/box"
    command = ("/usr/bin/python3", "-m", "beffroi_box", "--state", str(hall.state), "status", "--machines")
    said = run(*inside(BOX, "env", path, *command))
    lines = {line.split()[0]: line.split() for line in said.splitlines()}
    mac = run("ip", "-n", LAN, "-br", "link", "show", "dev", "l0").split()[2]
    assert {lines[label][1] for label in named()} == set(hall.pc)
    assert {lines[label][2] for label in named()} == {mac}
    hall.start_page()
    try:
        shown = hall.page()
        assert shown is not None and all(label in shown[2] for label in named()), "it sees its own labels"
        stranger = hall.page(BOX, "127.0.0.1")
        assert stranger is not None and not any(label in stranger[2] for label in named())
        assert not any(pc in shown[2] for pc in hall.pc)
    finally:
        hall.kill("page")


def test_of_two_machines_that_call_one_command_server_at_once_both_are_named(hall: TownHall) -> None:
    one = msgspec.structs.replace(entry(EVIL, hall.centre.now() + 3600), reason="command_server")
    version = hall.centre.publish(one)
    until(lambda: hall.centre.enforced(version), "not enforced")
    second = hall.pc[0].rpartition(".")[0] + ".77"
    run("ip", "-n", LAN, "addr", "add", f"{second}/32", "dev", "l0")
    try:
        assert not connects(LAN, EVIL)
        with socket_in(LAN, socket.AF_INET, socket.SOCK_STREAM) as client:
            client.bind((second, 0))
            assert client.connect_ex((EVIL, ECHO_PORT))
    finally:
        run("ip", "-n", LAN, "addr", "del", f"{second}/32", "dev", "l0")

    def told() -> list[FlowsBlocked]:
        return [fact for fact in facts(hall, FlowsBlocked) if fact.entry_id == one.id]

    until(lambda: len({label for fact in told() for label in fact.machines}) == 2, f"not both: {hall.log()}")
    assert sum(fact.count for fact in told()) == 1, "one remote, one port, five minutes: one attempt"


def test_who_called_another_refused_address_is_kept_nowhere(hall: TownHall) -> None:
    hall.block(EVIL, "liste-autre.com")
    before = (hall.state / "labels.json").read_bytes() if (hall.state / "labels.json").exists() else b""
    assert not connects(LAN, EVIL)
    look_up(LAN, "liste-autre.com", LAN_BOX)
    until(lambda: facts(hall, FlowsBlocked) and facts(hall, NamesRefused), "not told")
    assert not any(fact.machines for fact in refused(hall))
    after = (hall.state / "labels.json").read_bytes() if (hall.state / "labels.json").exists() else b""
    assert before == after


def test_a_canary_name_is_evidence_when_it_is_asked(hall: TownHall) -> None:
    policy(hall, canary_names=("sauvegarde.mairie-a.fr",))
    until(lambda: look_up(LAN, "sauvegarde.mairie-a.fr", LAN_BOX) == REFUSED, "answered")
    until(lambda: sightings(hall, "canary_name"), "not told")
    assert sightings(hall, "canary_name")[0].evidence["name"] == "sauvegarde.mairie-a.fr"
    assert no_machine_is_named(hall)


def test_a_tunnel_in_dns_questions_is_told_by_its_registered_name(hall: TownHall) -> None:
    source = random.Random(7)
    for _ in range(40):
        label = "".join(source.choices("abcdefghijklmnopqrstuvwxyz234567", k=50))
        assert look_up(LAN, f"{label}.tunnel-exemple.com", LAN_BOX) == 0
    until(lambda: sightings(hall, "dns_tunnel"), "not seen")
    (seen,) = sightings(hall, "dns_tunnel")
    assert [i.value for i in seen.indicators] == ["tunnel-exemple.com"] and no_machine_is_named(hall)


def test_doh_passes_while_the_box_observes_and_not_after(hall: TownHall) -> None:
    asked = lambda name: run(*inside(LAN, "dig", f"@{LAN_BOX}", name))  # noqa: E731
    policy(hall, refuse_doh=True, observe_until=int(time.time()) + 8)
    assert "NXDOMAIN" in asked("use-application-dns.net")
    assert "NXDOMAIN" not in asked("dns.quad9.net")
    until(lambda: "NXDOMAIN" in asked("dns.quad9.net"), f"observation did not end: {hall.log()}")


def test_ways_round_the_resolver_are_refused_and_counted_and_leaks_are_told(hall: TownHall) -> None:
    """Real clients: dig asks a foreign server, kdig over TLS, curl over HTTPS."""
    policy(hall, refuse_doh=True, leak_bytes_hour=200_000)
    run("ip", "-n", NET, "addr", "add", "1.1.1.1/32", "dev", "lo")
    with (
        socket_in(NET, socket.AF_INET, socket.SOCK_STREAM) as doh,
        socket_in(NET, socket.AF_INET, socket.SOCK_STREAM) as dot,
    ):
        for server, address in ((doh, ("1.1.1.1", 443)), (dot, (GOOD, 853))):
            server.bind(address)
            server.listen(5)
        with socket_in(BOX, socket.AF_INET, socket.SOCK_STREAM) as outside:
            assert outside.connect_ex((GOOD, 853)) != 0
        answer = run(*inside(LAN, "dig", "+short", "+tries=1", f"@{GOOD}", UNLISTED)).strip()
        assert answer == GOOD, "the box answers for the foreign server"
        assert "NXDOMAIN" in run(*inside(LAN, "dig", f"@{GOOD}", "use-application-dns.net"))
        assert fails(LAN, "kdig", "+tls", "+time=2", f"@{GOOD}", UNLISTED)
        assert (
            fails(
                LAN, "curl", "-sk", "-m", "3", "--doh-url", "https://1.1.1.1/dns-query", f"http://{UNLISTED}/"
            )
            == 6
        )
        assert not connects_only(LAN, "1.1.1.1", 443)
    with socket_in(LAN, socket.AF_INET, socket.SOCK_STREAM) as client:
        client.connect((GOOD, ECHO_PORT))
        client.settimeout(20)
        for _ in range(4000):
            client.sendall(bytes(100))
            client.recv(100)
    with socket_in(LAN, socket.AF_INET, socket.SOCK_STREAM) as client:
        client.connect_ex((GOOD, 21))
    for kind in ("foreign_dns", "dot", "doh"):
        until(
            lambda kind=kind: any(f.kind == kind and f.count == 1 for f in facts(hall, Bypass)),
            f"{kind} not told",
        )
    until(lambda: sightings(hall, "leak_volume") + sightings(hall, "leak_night"), "the volume is not told")
    until(lambda: sightings(hall, "cleartext_password"), "the port of FTP is not told")
    (clear,) = sightings(hall, "cleartext_password")
    assert clear.indicators == () and clear.evidence["service"] == "ftp"
    assert no_machine_is_named(hall)
