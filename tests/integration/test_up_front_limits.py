"""What one source may do at the front door: real HAProxy before the real planes, sources in a network namespace."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from beffroi.lib.config import Config
from beffroi.supervise import front, front_limits

from tests import front_planes
from tests.certificates import unverified
from tests.mail_post import Engines
from tests.town_hall_network import family, socket_in
from tests.waiting import PATIENCE_S, until

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.slow]

A, B = "198.51.100.1", "198.51.100.2"
SAME_64 = ("2001:db8:1::1", "2001:db8:1::2")
OTHER_64 = "2001:db8:2::1"
FORM = "application/x-www-form-urlencoded"
LIMITS = {
    "portal_source_connections": 40,
    "portal_source_requests": 60,
    "portal_source_sign_ins": 5,
    "console_source_connections": 20,
    "console_source_requests": 30,
    "console_source_sign_ins": 3,
}


class Bound(http.client.HTTPSConnection):
    """A client at one source address, in the namespace; certificates are not what is tested here."""

    def __init__(self, namespace: str, source: str, port: int) -> None:
        context = unverified()
        super().__init__("localhost", port, timeout=PATIENCE_S, context=context)
        self.namespace, self.source, self.tls = namespace, source, context

    def connect(self) -> None:
        raw = socket_in(self.namespace, family(self.source), socket.SOCK_STREAM)
        raw.settimeout(20)
        raw.bind((self.source, 0))
        raw.connect(("::1" if ":" in self.source else "127.0.0.1", self.port))
        self.sock = self.tls.wrap_socket(raw, server_hostname="localhost")


@dataclass(frozen=True)
class Door:
    config: Config
    namespace: str

    def open(self, source: str, port: int) -> Bound:
        connection = Bound(self.namespace, source, port)
        connection.connect()
        return connection

    def ask(
        self,
        source: str,
        port: int,
        times: int,
        path: str = "/healthz",
        method: str = "GET",
        **headers: str,
    ) -> list[int]:
        """Answers of so many requests over one connection. ``headers``: with underscores for dashes."""
        more = {name.replace("_", "-"): said for name, said in headers.items()}
        with contextlib.closing(self.open(source, port)) as connection:
            found = []
            for _ in range(times):
                connection.request(
                    method, path, headers={"X-Forwarded-For": f"203.0.113.{len(found)}", **more}
                )
                answer = connection.getresponse()
                answer.read()
                found.append(answer.status)
            return found


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    name = f"bffront-{os.getpid()}"
    subprocess.run(("ip", "netns", "add", name), check=True)
    try:
        subprocess.run(("ip", "-n", name, "link", "set", "lo", "up"), check=True)
        for address in (f"{A}/32", f"{B}/32", *(f"{one}/128" for one in (*SAME_64, OTHER_64))):
            subprocess.run(("ip", "-n", name, "address", "add", address, "dev", "lo"), check=True)
        yield name
    finally:
        subprocess.run(("ip", "netns", "delete", name), check=True)


@pytest.fixture(scope="module")
def planes() -> Iterator[Engines]:
    """web, console and stream on a state directory of their own."""
    settings = {**LIMITS, "listen": '"*"', "console_listen": '"*"'}
    with front_planes.running("bff-", 23100, settings, "web", "console") as engines:
        yield engines


@pytest.fixture
def door(planes: Engines, namespace: str) -> Iterator[Door]:
    """The front door, started anew: it has seen nobody yet."""
    argv = ("ip", "netns", "exec", namespace, "haproxy", "-db", "-f", str(front.config_path(planes.config)))
    with (planes.config.log / "front.out").open("ab") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log)
    found = Door(planes.config, namespace)
    try:

        def answers() -> bool:
            assert process.poll() is None
            with contextlib.suppress(OSError):
                return found.ask("127.0.0.1", planes.config.portal_port, 1) == [200]
            return False

        until(answers, "the portal behind it answers")
        yield found
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def test_sign_ins_of_one_source_end_with_a_page_in_french_and_others_do_not_notice(door: Door) -> None:
    port = door.config.portal_port
    assert 429 not in door.ask(A, port, 5, "/connexion/", "POST")
    with contextlib.closing(door.open(A, port)) as connection:
        connection.request("POST", "/connexion/code/")
        answer = connection.getresponse()
        page = answer.read().decode()
    assert (answer.status, answer.headers["Retry-After"]) == (429, "60")
    assert "Attendez une minute" in page and '<html lang="fr">' in page
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert door.ask(A, port, 1, "/confirmer/", "POST") == [429]
    assert door.ask(A, port, 1, "/premiere-connexion/", "POST") == [429]
    assert door.ask(A, port, 1, "/connexion/") == [200]  # reading is not trying
    # Another spelling of the same page.
    assert door.ask(A, port, 1, "/%63onnexion/") == [200] and door.ask(
        A, port, 1, "/%63onnexion/", "POST"
    ) == [429]
    assert 429 not in door.ask(B, port, 5, "/connexion/", "POST")
    # The console counts for itself, and less.
    assert 429 not in door.ask(A, door.config.console_port, 3, "/connexion/", "POST")
    assert door.ask(A, door.config.console_port, 1, "/connexion/", "POST") == [429]


@pytest.mark.parametrize("plane", ["portal_port", "console_port"])
def test_what_pages_of_other_sites_send_uses_nobody_s_sign_ins_up(door: Door, plane: str) -> None:
    """From the browser of who reads one; all of a house comes by one address."""
    port = getattr(door.config, plane)
    for site in ("cross-site", "same-site"):
        sent = door.ask(A, port, 10, "/connexion/", "POST", Sec_Fetch_Site=site)
        assert sent == [403] * 10
    assert 429 not in door.ask(A, port, 3, "/connexion/", "POST", Sec_Fetch_Site="same-origin")
    assert door.ask(A, port, 1, "/connexion/", Sec_Fetch_Site="cross-site") == [200], "a link leads there"


def test_requests_of_one_source_are_refused_until_it_is_quiet_again(door: Door) -> None:
    port = door.config.portal_port
    answers = door.ask(A, port, 80)
    assert answers[:55] == [200] * 55
    assert answers[-10:] == [429] * 10
    with contextlib.closing(door.open(A, port)) as connection:
        connection.request("PUT", "/connexion/", headers={"Expect": "100-continue", "Content-Length": "5"})
        answer = connection.getresponse()
    assert (answer.status, answer.headers["Connection"]) == (429, "close"), "its body never comes"
    assert door.ask(B, port, 10) == [200] * 10
    assert door.ask(A, door.config.console_port, 5) == [200] * 5
    time.sleep(front_limits.REQUESTS_WINDOW_S * 2 + 1)
    assert door.ask(A, port, 5) == [200] * 5


def test_a_subscriber_of_ipv6_is_one_source_whatever_its_address(door: Door) -> None:
    port = door.config.portal_port
    assert door.ask(SAME_64[0], port, 55) == [200] * 55
    assert door.ask(SAME_64[1], port, 20)[-5:] == [429] * 5
    assert door.ask(OTHER_64, port, 20) == [200] * 20


def test_connections_of_one_source_are_limited_and_those_of_others_are_taken(door: Door) -> None:
    port = door.config.portal_port
    with contextlib.ExitStack() as held:
        for _ in range(40):
            held.enter_context(contextlib.closing(door.open(A, port)))
        with pytest.raises((OSError, ssl.SSLError)):
            door.open(A, port).request("GET", "/healthz")
        assert door.ask(B, port, 1) == [200]
        assert door.ask(A, door.config.box_port, 1, "/v1/nonce") == [200]
    time.sleep(front_limits.REQUESTS_WINDOW_S * 2 + 1)
    assert door.ask(A, port, 1) == [200]


@pytest.mark.parametrize("length_bytes", [2_000, 20_000])
@pytest.mark.parametrize("plane", ["portal_port", "console_port"])
def test_what_is_sent_slowly_keeps_no_page_from_others(door: Door, plane: str, length_bytes: int) -> None:
    """As from town halls with a slow line, or from who means harm; nobody has to have signed in."""
    port = getattr(door.config, plane)
    with contextlib.ExitStack() as held:
        slow = []
        for source in (A, SAME_64[0], OTHER_64):
            for _ in range(front_limits.SOURCE_BODIES):
                slow.append(held.enter_context(contextlib.closing(door.open(source, port))))
                slow[-1].putrequest("POST", "/langue/")
                slow[-1].putheader("Content-Length", str(length_bytes))
                slow[-1].putheader("Content-Type", FORM)
                slow[-1].endheaders(b"language=" + b"x" * (length_bytes // 2))
        assert door.ask(B, port, 10, "/connexion/") == [200] * 10


def test_of_large_requests_one_source_has_some_at_a_time(door: Door) -> None:
    port, length_bytes = door.config.portal_port, 20_000
    head = {"Content-Length": str(length_bytes), "Content-Type": FORM}
    with contextlib.ExitStack() as held:
        for _ in range(front_limits.SOURCE_BODIES):
            slow = held.enter_context(contextlib.closing(door.open(A, port)))
            slow.request("POST", "/langue/", b"language=fr", headers=head)
        assert door.ask(A, port, 1, "/connexion/") == [200]
        with contextlib.closing(door.open(A, port)) as more:
            more.request("POST", "/langue/", b"language=fr", headers=head)
            assert more.getresponse().status == 429
        slow.send(b"x" * (length_bytes - 11))
        assert slow.getresponse().status == 302
        with contextlib.closing(door.open(A, port)) as more:
            more.request("POST", "/langue/", b"language=fr".ljust(length_bytes, b"x"), headers=head)
            assert more.getresponse().status == 302


def test_many_boxes_behind_one_address_are_served(door: Door) -> None:
    """The limits that are shipped: boîtiers of a whole intercommunality behind one router."""
    port = door.config.box_port
    with contextlib.ExitStack() as held:
        boxes = []
        for _ in range(300):  # each asks at once: the door waits no longer than 10 s for a first word
            boxes.append(held.enter_context(contextlib.closing(door.open(A, port))))
            boxes[-1].request("GET", "/v1/nonce")
        for box in boxes:
            answer = box.getresponse()
            answer.read()
            assert answer.status == 200
