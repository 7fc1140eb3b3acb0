"""The inspection engine: the real Suricata between a LAN and an internet, router and bridge, with real TLS and HTTP."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from beffroi_box.local import AskState, ask
from beffroi_protocol.facts import LookBack, NamesRefused
from beffroi_protocol.indicators import Kind
from beffroi_protocol.messages import Action

from tests.quic import client_hello
from tests.town_hall import TownHall, entry, good_policy, needs_network
from tests.town_hall_network import (
    BOX,
    EVIL,
    GOOD,
    LAN,
    LISTED,
    NET,
    UNLISTED,
    connects,
    inside,
    listening,
    run,
    socket_in,
)
from tests.waiting import until
from tests.web_ways import WAYS, answer_datagrams, by_datagram, by_http, by_quic, by_tls, opens, serve

pytest_plugins = ["tests.fixtures_box"]
pytestmark = needs_network
BELOW = f"www.{LISTED}"
ENDED, STARVES = "was ended", "gets no processor"
PAGES = 5
"""So many open one after the other while the engine hangs or starves. Without its keeper none does."""


@pytest.fixture(scope="module", params=["router", "bridge"])
def town_hall_options(request: pytest.FixtureRequest) -> dict[str, Any]:
    if request.param == "bridge" and not Path("/proc/sys/net/bridge").exists():
        pytest.skip("needs br_netfilter")
    return {"bridge": request.param == "bridge"}


@pytest.fixture(scope="module")
def running(running: TownHall, town_hall_options: dict[str, Any]) -> TownHall:
    """A town hall whose policy asks for inspection, before a web server of the internet."""
    hall = running
    for port, secure in ((80, False), (443, True)):
        server = listening(NET, GOOD, port)
        hall.sockets.append(server)
        threading.Thread(target=serve, args=(server, tls(hall) if secure else None), daemon=True).start()
    datagrams = socket_in(NET, socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.settimeout(None)
    datagrams.bind((GOOD, 443))
    hall.sockets.append(datagrams)
    threading.Thread(target=answer_datagrams, args=(datagrams,), daemon=True).start()
    hall.start_inspector()
    hall.centre.set_policy(good_policy(**town_hall_options, inspect=True))
    until(lambda: state(hall) == "on", f"{state(hall)}: {hall.log()} {said(hall)}")
    return hall


@pytest.fixture
def hall(hall: TownHall) -> Iterator[TownHall]:
    until(lambda: state(hall) == "on", f"{state(hall)}: {said(hall)}")
    yield hall
    hall.centre.say(hall.centre.overlay())


def state(hall: TownHall) -> str:
    return str(hall.status().get("inspection"))


def said(hall: TownHall) -> str:
    return (hall.state.parent / "inspector.log").read_text()[-2000:]


def tls(hall: TownHall) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(hall.state.parent / "centre.pem", hall.state.parent / "centre.key")
    return context


OTHERS_ON_443 = (
    b"\x01\x00\x00\x00" + bytes(range(144)),  # WireGuard's first message
    b"\x38" + bytes(range(1, 54)),  # OpenVPN
    b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(12),  # STUN: calls
    b"\x80\x60\x12\x34" + bytes(range(160)),  # RTP: sound
    b"\x16\xfe\xff" + bytes(60),  # DTLS
)


def engine(hall: TownHall) -> int:
    """The process of Suricata, 0 while there is none."""
    keeper = hall.processes["inspector"].pid
    found = subprocess.run(["pgrep", "-P", str(keeper)], capture_output=True, text=True, check=False).stdout
    return int(found or 0)


def send(number: signal.Signals, pid: int) -> None:
    """Errors: ProcessLookupError."""
    assert pid > 0, "there is no engine; 0 would be each process of this run, and who called it"
    os.kill(pid, number)


def is_back(hall: TownHall, before: int) -> bool:
    """Whether another engine than this one is on; the status is a second behind."""
    return engine(hall) not in (0, before) and state(hall) == "on"


@pytest.mark.parametrize("way", WAYS)
def test_a_listed_name_is_cut_at_an_address_that_no_list_names_and_free_again_after_undo(
    hall: TownHall, way: Any
) -> None:
    before = engine(hall)
    assert way(LISTED) and way(UNLISTED)
    ids = hall.block(LISTED)
    until(lambda: not way(LISTED), "the name passes")
    assert not way(BELOW) and not way(f"a.b.c.d.e.f.g.h.i.{LISTED}") and not way(LISTED.upper())
    assert way(UNLISTED) and way(f"x{LISTED}") and way("com")
    hall.unblock(*ids)
    until(lambda: way(LISTED), "undo does not reach the engine")
    assert engine(hall) == before, "no restart, no reload"


def test_a_name_in_pieces_and_the_second_request_of_a_connection_are_read(hall: TownHall) -> None:
    hall.block(LISTED)
    until(lambda: not by_tls(LISTED), "the name passes")

    def answers(name: str) -> bool:
        """Send a ClientHello in segments of 200 bytes."""
        hello = client_hello(name)
        with socket_in(LAN, socket.AF_INET, socket.SOCK_STREAM) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                client.connect((GOOD, 443))
                for at in range(0, len(hello), 200):
                    client.sendall(hello[at : at + 200])
                    time.sleep(0.01)
                return bool(client.recv(1))
            except OSError:
                return False

    assert answers(UNLISTED) and not answers(LISTED)
    with socket_in(LAN, socket.AF_INET, socket.SOCK_STREAM) as client:
        client.connect((GOOD, 80))
        assert opens(client, UNLISTED) and not opens(client, LISTED)


def test_other_protocols_on_the_port_of_quic_pass(hall: TownHall) -> None:
    for other in OTHERS_ON_443:
        assert by_datagram(other)


@pytest.mark.parametrize("way", WAYS)
def test_an_exception_passes_and_its_parent_does_not(hall: TownHall, way: Any) -> None:
    hall.block(LISTED)
    until(lambda: not way(BELOW), "the name passes")
    allowed = msgspec.structs.replace(entry(BELOW, hall.centre.now() + 3600), action=Action.ALLOW)
    hall.centre.say(hall.centre.overlay(allowed))
    until(lambda: way(BELOW) and way(f"b.{BELOW}"), "the exception does not count")
    assert not way(LISTED)
    hall.centre.say(hall.centre.overlay())
    until(lambda: not way(BELOW), "the exception ended")


def test_an_observed_name_passes_and_is_told(hall: TownHall) -> None:
    watched = msgspec.structs.replace(entry(LISTED, hall.centre.now() + 3600), action=Action.WARN)
    version = hall.centre.publish(watched)
    until(lambda: hall.centre.enforced(version), "not taken")

    def told() -> bool:
        assert by_tls(BELOW)
        facts = hall.centre.facts.values()
        return any(isinstance(f, LookBack) and f.entry_id == watched.id for f in facts)

    until(told, "an observed name is not told")


def test_a_refused_name_is_told_once_and_no_other_name_leaves_the_engine(hall: TownHall) -> None:
    name = "compte-verifie-ameli.com"  # of this test alone: a name is told once in five minutes
    (listed,) = hall.block(name)
    until(lambda: not by_tls(name), "the name passes")
    assert not by_http(name) and not by_quic(name)
    for way in (by_tls, by_http, by_quic):  # a busy machine answers one connection too late
        until(lambda way=way: way(UNLISTED), f"{way.__name__} does not pass")

    def counts() -> list[int]:
        facts = hall.centre.facts.values()
        return [f.count for f in facts if isinstance(f, NamesRefused) and f.entry_id == listed]

    until(counts, "nothing is told")
    time.sleep(1.5)  # a second fact would have come
    assert counts() == [1], "one attempt, however it was made and repeated"
    assert UNLISTED not in repr(hall.centre.facts) and hall.pc[0] not in repr(hall.centre.facts)
    for place in (hall.state, hall.state.parent / "inspection", hall.state.parent / "run"):
        held = subprocess.run(["grep", "-raIl", UNLISTED, place], capture_output=True, text=True, check=False)
        assert not held.stdout, "browsing is on a disk"


@pytest.mark.parametrize("way", WAYS)
def test_names_of_long_lists_are_cut(hall: TownHall, way: Any) -> None:
    names = [f"n{n}.colis-{n}.com" for n in range(2000)]
    hall.listed(hall.centre.bulk_list("names", Kind.DOMAIN, [*names, LISTED, "impots.gouv.fr"]))
    until(lambda: state(hall) == "on" and not way(LISTED), f"the name passes: {said(hall)}")
    assert not way("www.n7.colis-7.com")
    # A busy machine answers one connection too late; the name passes all the same.
    for name in ("colis-7.com", "www.impots.gouv.fr"):
        until(lambda name=name: way(name), f"{name} does not pass: {said(hall)}")
    hall.unlisted("names")
    until(lambda: way(LISTED), f"the list is gone: {said(hall)}")


def test_the_deny_lists_stay_in_front(hall: TownHall) -> None:
    """Also while the engine is away, and for what it would let pass."""
    hall.block(EVIL)
    assert not connects(LAN, EVIL) and connects(LAN, GOOD)
    rules = run(*inside(BOX, "nft", "list", "chain", "inet", "beffroi", "inspect_"))
    assert "ct packets < 40" in rules and "priority filter - 4" in rules


def test_a_killed_engine_loses_no_connection_and_comes_back(hall: TownHall) -> None:
    hall.block(LISTED)
    until(lambda: not by_tls(LISTED), "the name passes")
    before = engine(hall)
    send(signal.SIGKILL, before)
    opened = 0
    while opened < 40:
        assert by_http(UNLISTED), "a connection was lost"
        opened += 1
    until(lambda: is_back(hall, before), f"it does not come back: {said(hall)}")
    until(lambda: not by_tls(LISTED), "the new engine does not know the names")


@contextmanager
def browsing(page: Callable[[str], bool]) -> Iterator[list[bool]]:
    """Someone opens one page after the other, each over a new connection; yields whether each was there."""
    opened, ending = list[bool](), threading.Event()

    def browse() -> None:
        while not ending.is_set():
            opened.append(page(UNLISTED))
            ending.wait(0.02)

    person = threading.Thread(target=browse)
    person.start()
    try:
        yield opened
    finally:
        ending.set()
        person.join()


def test_an_engine_that_hangs_is_ended_and_every_page_opens(hall: TownHall) -> None:
    hall.block(LISTED)
    before = engine(hall)
    with browsing(by_http) as opened, browsing(by_tls) as secure:
        until(lambda: opened and secure, "nobody browses")
        send(signal.SIGSTOP, before)
        hung = [len(opened), len(secure)]
        hall.block("colis-bloque.com")  # its keeper waits for the answer to this, and watches meanwhile
        until(lambda: is_back(hall, before), f"it does not come back: {said(hall)}")
        until(lambda: min(len(opened) - hung[0], len(secure) - hung[1]) >= PAGES, "pages wait for it")
    assert all(opened) and all(secure), "a page was lost"
    assert "it hung and was ended" in said(hall)
    shown = ask(hall.state.parent / "run" / "page.sock", AskState()).state
    assert shown and shown.inspection == "on" and shown.inspection_hung_at
    until(lambda: not by_tls(LISTED), "the new engine does not know the names")


@contextmanager
def starved(pid: int) -> Iterator[None]:
    """The process gets next to nothing of one processor, on which two others work without a pause."""
    spin = ["nice", "-n", "-20", "taskset", "--cpu-list", "0", "/usr/bin/python3", "-c", "while True: pass"]
    greedy = [subprocess.Popen(spin) for _ in range(3)]
    everywhere = f"0-{(os.cpu_count() or 1) - 1}"
    for argv in (
        ["taskset", "-acp", "0", str(pid)],
        ["chrt", "--all-tasks", "--idle", "--pid", "0", str(pid)],
    ):
        run(*argv)
    try:
        yield
    finally:
        for one in greedy:
            one.kill()
            one.wait()
        subprocess.run(["chrt", "--all-tasks", "--other", "--pid", "0", str(pid)], check=False)
        subprocess.run(["taskset", "-acp", everywhere, str(pid)], stdout=subprocess.DEVNULL, check=False)


def test_an_engine_that_gets_no_processor_is_left_alive_and_pages_open(hall: TownHall) -> None:
    hall.block(LISTED)
    until(lambda: not by_tls(LISTED), "the name passes")
    before, log = engine(hall), hall.state.parent / "inspector.log"
    ended, told = (log.read_text().count(words) for words in (ENDED, STARVES))
    with browsing(by_http) as opened, starved(before):
        until(
            lambda: log.read_text().count(STARVES) > told or log.read_text().count(ENDED) > ended,
            f"nobody sees it: {said(hall)}",
        )
        first = len(opened)
        until(lambda: len(opened) >= first + PAGES, "pages wait for it")
    assert engine(hall) == before and log.read_text().count(ENDED) == ended, said(hall)
    assert all(opened), "a page was lost"
    until(lambda: not by_tls(LISTED), "it goes on with what it knew")
    assert engine(hall) == before


def test_a_damaged_file_of_names_is_written_anew(hall: TownHall) -> None:
    hall.listed(hall.centre.bulk_list("names", Kind.DOMAIN, ["n7.colis-7.com"]))
    hall.block(LISTED)
    until(lambda: not by_tls(LISTED) and not by_tls("n7.colis-7.com"), "the names pass")
    own, bulk = hall.state.parent / "run" / "inspect-refused.lst", hall.state / "names" / "inspected.lst"
    for path in (own, bulk):
        path.write_bytes(b"not base64!\n" + path.read_bytes())
    if pid := engine(hall):  # 0: it starts anew at this moment
        with suppress(ProcessLookupError):
            send(signal.SIGKILL, pid)
    assert by_http(UNLISTED)
    until(
        lambda: state(hall) == "on" and not by_tls(LISTED) and not by_tls("n7.colis-7.com"),
        f"{state(hall)} {said(hall)}",
    )
    assert b"!" not in own.read_bytes() + bulk.read_bytes()


def test_without_its_keeper_and_without_its_agent_the_web_goes_on(hall: TownHall) -> None:
    hall.block(LISTED)
    until(lambda: not by_tls(LISTED), "the name passes")
    hall.kill("agent")
    assert not by_tls(LISTED), "the engine needs no agent"
    hall.start_agent()
    hall.connected()
    until(lambda: state(hall) == "on", "the agent finds its engine")
    name = "retour-colis-relais.com"
    (listed,) = hall.block(name)

    def told() -> bool:
        by_tls(name)
        facts = hall.centre.facts.values()
        return any(isinstance(f, NamesRefused) and f.entry_id == listed for f in facts)

    until(told, "the engine does not find its agent")
    pid = engine(hall)
    hall.kill("inspector")
    until(lambda: not Path(f"/proc/{pid}").exists(), "an engine without its watchdog")
    assert by_tls(LISTED) and by_http(UNLISTED) and by_datagram(OTHERS_ON_443[0])
    until(lambda: state(hall) == "off: its process does not run", state(hall))
    hall.start_inspector()
    until(lambda: state(hall) == "on" and not by_tls(LISTED), f"{state(hall)}: {said(hall)}")


def test_a_policy_that_asks_for_none_ends_it_and_leaves_the_names_to_the_resolver(
    hall: TownHall, town_hall_options: dict[str, Any]
) -> None:
    hall.block(LISTED)
    until(lambda: not by_tls(LISTED), "the name passes")
    hall.centre.set_policy(good_policy(**town_hall_options))
    until(lambda: state(hall) == "off: the policy does not ask for it", state(hall))
    assert "inspect_" not in run(*inside(BOX, "nft", "-t", "list", "table", "inet", "beffroi"))
    assert by_tls(LISTED)
    hall.centre.set_policy(good_policy(**town_hall_options, inspect=True))
    until(lambda: state(hall) == "on" and not by_tls(LISTED), f"{state(hall)}: {said(hall)}")


BROKEN = """#!/bin/sh
printf 'outputs: [ {{' >{bad}
exec /usr/bin/suricata -c {bad} -q 7
"""


@pytest.mark.parametrize("case", ["missing", "bad yaml"])
def test_an_engine_that_cannot_start_is_told_and_the_web_goes_on(hall: TownHall, case: str) -> None:
    path, settings = hall.state.parent / "engine", hall.state / "box.toml"
    kept = settings.read_text()
    if case == "bad yaml":
        path.write_text(BROKEN.format(bad=hall.state.parent / "inspection" / "bad.yaml"))
        path.chmod(0o755)
    settings.write_text(f'inspection_engine = "{path}"\n' + kept)
    try:
        hall.kill("agent")
        hall.start_agent()
        hall.connected()
        wanted = "off: suricata is not installed" if case == "missing" else "off: it ended"
        until(lambda: state(hall).startswith(wanted), f"{state(hall)}: {said(hall)}")
        hall.block(LISTED, EVIL)
        assert by_tls(LISTED) and by_http(UNLISTED) and not connects(LAN, EVIL)
    finally:
        settings.write_text(kept)
        path.unlink(missing_ok=True)
        hall.kill("agent", signal.SIGTERM)
        hall.start_agent()
        hall.connected()
        hall.kill("inspector")
        hall.start_inspector()
    until(lambda: state(hall) == "on", f"{state(hall)}: {said(hall)}")
