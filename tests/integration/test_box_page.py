"""The box's page as a person of the LAN gets it: first boot, state, blocked sites; with real packets."""

from __future__ import annotations

import re
import socket
import struct
import time
from pathlib import Path

import msgspec
import pytest
from beffroi_protocol.enrolment_code import new_code
from beffroi_protocol.facts import FlowsBlocked, Sighting
from beffroi_protocol.indicators import Kind, normalise
from beffroi_protocol.messages import Action, Entry
from beffroi_protocol.signing import public_bytes
from beffroi_protocol.unlock import verify_token

from tests.town_hall import TownHall, good_policy, needs_network, town_hall
from tests.town_hall_network import (
    BOX,
    EVIL,
    EVIL6,
    GOOD,
    LAN,
    LAN_BOX,
    LAN_BOX6,
    LISTED,
    NET,
    WAN_BOX,
    connects,
    inside,
    look_up,
    run,
    socket_in,
)
from tests.waiting import until

pytest_plugins = ["tests.fixtures_box"]
pytestmark = needs_network
PORTAL = "https://portail.cotedor.fr"
LABEL = "192.168.213.1"


@pytest.fixture(scope="module")
def running(running: TownHall) -> TownHall:
    version = running.centre.set_policy(good_policy(portal_url=PORTAL))
    until(lambda: running.status().get("policy_version") == version, f"not proved: {running.log()}")
    running.start_page()
    return running


def html(hall: TownHall, address: str = LAN_BOX, path: str = "/", **headers: str) -> str:
    answer = hall.page(LAN, address, path, **headers)
    assert answer is not None, f"no answer of {address}"
    return answer[2]


@pytest.mark.parametrize("address", [LAN_BOX, LABEL])
def test_the_page_says_how_the_box_is(hall: TownHall, address: str) -> None:
    text = html(hall, address)
    assert "Beaune" in text and "établie" in text and "version 2" in text
    assert "established" in html(hall, address, **{"Accept-Language": "en-GB,en"})


@pytest.mark.parametrize("evil", [EVIL, EVIL6])
def test_who_opens_a_blocked_address_reads_why(hall: TownHall, evil: str) -> None:
    hall.block(evil)
    answer = hall.page(LAN, evil, "/paiement?a=1")
    assert answer is not None and answer[0] == 403
    assert "Ce site est bloqué" in answer[2] and evil in answer[2]
    until(lambda: evil in html(hall), "it is not among the last blocks")
    assert not connects(LAN, evil), "other ports are refused as before"


def test_https_to_a_blocked_address_is_refused_at_once(hall: TownHall) -> None:
    hall.block(EVIL)
    with socket_in(LAN, socket.AF_INET, socket.SOCK_STREAM) as client, pytest.raises(ConnectionRefusedError):
        client.connect((EVIL, 443))


def test_an_address_of_a_long_list_has_the_page_too(hall: TownHall) -> None:
    hall.listed(hall.centre.bulk_list("essai", Kind.CIDR, ["45.83.64.0/28"]))
    until(lambda: hall.page(LAN, EVIL) is not None, "no page")
    assert "Ce site est bloqué" in html(hall, EVIL)


def test_a_list_of_command_servers_is_lifted_by_nobody(hall: TownHall) -> None:
    servers = hall.centre.bulk_list("essai", Kind.IP, [EVIL, EVIL6])
    hall.listed(msgspec.structs.replace(servers, threat="command_server"))
    until(lambda: hall.page(LAN, EVIL) is not None, "no page")
    page = html(hall, EVIL)
    assert "serveur de commande de pirates" in page and "/debloquer?" not in page
    answer = hall.page(LAN, EVIL, f"/debloquer?quoi={EVIL}")
    assert answer is not None and answer[0] == 404
    hall.listed(msgspec.structs.replace(servers, threat="phishing"))
    until(lambda: "/debloquer?quoi=" in html(hall, EVIL), "an ordinary list may be lifted")


def test_a_refused_attempt_counts_as_refused(hall: TownHall) -> None:
    address = "45.83.64.99"  # nobody tried it before: an attempt is counted once in five minutes
    (blocked,) = hall.block(address)
    html(hall, address)

    def told() -> list[int]:
        found = (one for one in hall.centre.facts.values() if isinstance(one, FlowsBlocked))
        return [one.count for one in found if one.entry_id == blocked]

    until(lambda: told() == [1], "the page hides the attempt from the centre")


def test_the_way_to_the_portal_carries_the_box_word_and_an_exception_opens_at_once(hall: TownHall) -> None:
    (blocked,) = hall.block(EVIL)
    assert "/debloquer?quoi=" in html(hall, EVIL)
    answer = hall.page(LAN, EVIL, f"/debloquer?quoi={EVIL}")
    assert answer is not None and answer[0] == 303
    link = answer[1]["Location"]
    assert link.startswith(f"{PORTAL}/debloquer/?jeton=")
    token = link.partition("jeton=")[2]
    told = verify_token(token, hall.centre.box_key, now=hall.centre.now())
    assert (told.box_id, told.entry_id, told.indicator.value) == ("box_1", blocked, EVIL)
    allowed = Entry("exc_1", normalise(Kind.IP, EVIL), Action.ALLOW, hall.centre.now() + 3600)
    hall.centre.say(hall.centre.overlay(allowed))
    until(lambda: connects(LAN, EVIL), "the exception does not open")
    hall.centre.say(hall.centre.overlay())
    until(lambda: not connects(LAN, EVIL), "it is blocked again")


def test_what_the_box_itself_answers_is_no_trap_for_the_lan(hall: TownHall) -> None:
    """Port 80 is a good trap for who comes from the internet; in the LAN it is the page, and 53 its names."""
    version = hall.centre.set_policy(good_policy(portal_url=PORTAL, honeyports=(53, 80)))
    until(lambda: hall.status().get("policy_version") == version, f"not proved: {hall.log()}")
    assert "Beaune" in html(hall) and "Beaune" in html(hall, LAN_BOX6)
    with socket_in(NET, socket.AF_INET, socket.SOCK_STREAM) as client:
        client.bind((EVIL, 0))
        assert client.connect_ex((WAN_BOX, 80)) == 0

    def told() -> list[Sighting]:
        return [one for one in hall.centre.facts.values() if isinstance(one, Sighting)]

    until(told, "the trap of the internet's side is not told")
    assert [one.evidence["side"] for one in told()] == ["wan"]
    version = hall.centre.set_policy(good_policy(portal_url=PORTAL))
    until(lambda: hall.status().get("policy_version") == version, "not proved")


def test_a_policy_without_unlocking_offers_nothing(hall: TownHall) -> None:
    version = hall.centre.set_policy(good_policy(portal_url=PORTAL, unlock=False))
    until(lambda: hall.status().get("policy_version") == version, "not proved")
    hall.block(EVIL)
    assert "/debloquer?" not in html(hall, EVIL)
    answer = hall.page(LAN, EVIL, f"/debloquer?quoi={EVIL}")
    assert answer is not None and answer[0] == 404
    version = hall.centre.set_policy(good_policy(portal_url=PORTAL))
    until(lambda: hall.status().get("policy_version") == version, "not proved")


def test_a_refused_name_is_among_the_last_blocks(hall: TownHall) -> None:
    hall.block(LISTED)
    until(lambda: look_up(LAN, LISTED, LAN_BOX) == 3 and LISTED in html(hall), "the name is not shown")
    assert not any(pc in html(hall) for pc in hall.pc), "nobody of the LAN is named"


def test_the_answer_for_a_refused_name_says_blocked(hall: TownHall) -> None:
    hall.block(LISTED)
    name = b"".join(bytes([len(part)]) + part.encode() for part in LISTED.split(".")) + b"\0"
    wants_errors = b"\0\0\x29\x04\xd0\0\0\0\0\0\0"  # EDNS
    with socket_in(LAN, socket.AF_INET, socket.SOCK_DGRAM) as client:
        question = struct.pack(">6H", 7, 0x100, 1, 0, 0, 1) + name + b"\0\1\0\1" + wants_errors
        client.sendto(question, (LAN_BOX, 53))
        answer = client.recv(512)
    assert answer[3] & 15 == 3
    assert b"\0\x0f\0\x09\0\x0fBeffroi" in answer, "extended error 15: blocked (RFC 8914)"


def test_nobody_on_the_internet_reaches_the_page(hall: TownHall) -> None:
    assert hall.page(NET, WAN_BOX) is None
    assert hall.page(LAN, LAN_BOX) is not None


@pytest.mark.parametrize("address", [LAN_BOX, LAN_BOX6, LABEL])
def test_a_web_site_whose_name_leads_to_the_box_reads_nothing_there(hall: TownHall, address: str) -> None:
    """DNS rebinding: to the browser of a PC the box would be that very site."""
    hall.block(LISTED)
    until(lambda: look_up(LAN, LISTED, LAN_BOX) == 3 and LISTED in html(hall, address), "not shown")
    for path in ("/", f"/debloquer?quoi={LISTED}"):
        answer = hall.page(LAN, address, path, Host="site.example")
        assert answer is not None and answer[0] == 421 and "Location" not in answer[1]
        assert "Beaune" not in answer[2] and LISTED not in answer[2] and LABEL in answer[2]


def test_the_page_works_without_the_centre_and_says_when_the_agent_is_away(hall: TownHall) -> None:
    hall.cut(down=True)
    try:
        until(lambda: "Le centre ne répond plus" in html(hall), "the cut is not said")
        assert "internet fonctionne" not in html(hall), "nobody knows: it may be the whole line"
        assert "redémarrez la box" in html(hall)
    finally:
        hall.cut(down=False)
    until(lambda: "coupée" not in html(hall), "it is back")
    hall.kill("agent")
    answer = hall.page(LAN, LAN_BOX)
    assert answer is not None and answer[0] == 503 and "redémarre" in answer[2]
    hall.start_agent()
    hall.connected()
    until(lambda: "établie" in html(hall), "the agent is back")


HOSTILE = [
    b"",
    b"\0" * 9000,
    b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: a\r\n" % n for n in range(5000)),
    b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\n\r\n",
    b"GET / HTTP/9\r\n\r\n",
    b"GET / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
    b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET http://[::1 HTTP/1.1\r\n\r\n",
    b"TRACE / HTTP/1.1\r\n\r\n",
    "GET /?lang=\u20ac&quoi=%00%ff HTTP/1.1\r\nHost: é\r\n\r\n".encode(),
    b"GET /debloquer?quoi=" + b"%2e" * 500 + b" HTTP/1.1\r\n\r\n",
]


@pytest.mark.parametrize("data", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_requests_end_in_a_refusal_and_the_page_goes_on(hall: TownHall, data: bytes) -> None:
    with socket_in(LAN, socket.AF_INET, socket.SOCK_STREAM) as client:
        client.settimeout(8)
        client.connect((LAN_BOX, 80))
        try:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            answer = client.recv(200)
        except OSError:
            answer = b""
    assert not answer or answer.startswith(b"HTTP/1.1 4") or b" 200 " in answer
    assert hall.page() is not None
    assert hall.processes["page"].poll() is None


def test_slow_clients_do_not_keep_the_others_out(hall: TownHall) -> None:
    slow = [socket_in(LAN, socket.AF_INET, socket.SOCK_STREAM) for _ in range(60)]
    try:
        for one in slow:
            one.connect((LAN_BOX, 80))
            one.sendall(b"GET / HT")
        run("ip", "-n", LAN, "addr", "add", "185.11.30.9/24", "dev", "l0")
        with socket_in(LAN, socket.AF_INET, socket.SOCK_STREAM) as other:
            other.bind(("185.11.30.9", 0))
            other.connect((LAN_BOX, 80))
            other.sendall(b"GET / HTTP/1.1\r\nHost: 192.168.213.1\r\n\r\n")
            assert b" 200 " in other.recv(100), "another machine is answered at once"
        until(lambda: hall.page() is not None, "the slow ones are not ended")
    finally:
        for one in slow:
            one.close()
        run("ip", "-n", LAN, "addr", "del", "185.11.30.9/24", "dev", "l0")


def test_a_new_box_is_enrolled_on_its_page() -> None:
    with town_hall(enrolled=False) as hall:
        centre = hall.centre
        hall.start_page()
        # On the appliance a unit of its own loads the first rules before any network is up; here the agent does.
        until(lambda: hall.page(NET, WAN_BOX) is None, "nobody of the internet")
        text = html(hall, LABEL)
        shown = re.search(r'class="print">([0-9A-F ]{24})<', text)
        assert shown and "Mettre ce boîtier en service" in text
        assert connects(LAN, GOOD) and not connects(NET, hall.pc[0]), "the LAN goes out, nobody comes in"

        def offer(code: str, **headers: str) -> tuple[int, dict[str, str], str]:
            time.sleep(3.1)  # tries are slowed down
            origin = {"Origin": f"http://{LAN_BOX}", **headers}
            answer = hall.page(LAN, LAN_BOX, "/", post=f"code={code}", **origin)
            assert answer is not None
            return answer

        assert "24 lettres et chiffres" in offer("ABC")[2]
        code = new_code(public_bytes(centre.root))
        assert offer(code.text(), Origin="http://evil.example")[0] == 403
        assert offer(code.text(), Host="evil.example", Origin="http://evil.example")[0] == 421
        assert offer(code.text())[0] == 303
        until(lambda: "inconnu, déjà utilisé" in html(hall), "an unknown code is not said")
        centre.code = code
        assert offer(code.text())[0] == 303
        until(lambda: "Lisez maintenant" in html(hall), "the wait for a person is not said")
        centre.confirmed = True
        until(lambda: "Beaune" in html(hall), f"not enrolled: {hall.log()}")
        until(lambda: hall.status().get("connected"), f"not connected: {hall.log()}")
        rules = run(*inside(BOX, "nft", "list", "tables"))
        assert "beffroi_first" not in rules and "inet beffroi" in rules
        hall.block(EVIL)
        assert not connects(LAN, EVIL) and connects(LAN, GOOD)


def _typed(hall: TownHall) -> Path:
    """Type a code that the centre knows; return where it is kept meanwhile."""
    code = hall.centre.code = new_code(public_bytes(hall.centre.root))
    hall.start_page()
    until(lambda: "Mettre ce boîtier en service" in html(hall), "no form")
    hall.page(LAN, LAN_BOX, "/", post=f"code={code.text()}", Origin=f"http://{LAN_BOX}")
    until(lambda: "Lisez maintenant" in html(hall), f"the wait for a person is not said: {hall.log()}")
    return hall.state / "enrolment.json"


def test_a_power_cut_between_the_code_and_its_confirmation_costs_no_second_code() -> None:
    with town_hall(enrolled=False) as hall:
        kept = _typed(hall)
        hall.kill("agent")
        hall.centre.confirmed = True
        hall.start_agent()
        until(lambda: hall.status().get("connected"), f"the code was forgotten: {hall.log()}")
        assert not kept.exists(), "the code served"


def test_a_code_that_the_centre_refuses_after_a_power_cut_is_forgotten() -> None:
    with town_hall(enrolled=False) as hall:
        kept = _typed(hall)
        hall.kill("agent")
        assert kept.stat().st_mode & 0o777 == 0o600
        hall.centre.code = None
        hall.start_agent()
        until(lambda: "inconnu, déjà utilisé" in html(hall), "a code that is void is not said")
        assert not kept.exists()


def test_as_a_bridge_the_box_has_the_same_page_at_the_same_address() -> None:
    with town_hall(bridge=True) as hall:
        hall.start_page()
        assert "établie" in html(hall, LABEL) and "établie" in html(hall, WAN_BOX)
        hall.block(EVIL)
        assert "Ce site est bloqué" in html(hall, EVIL)
        assert hall.page(NET, WAN_BOX) is None
