"""The feed over a real socket, to a door in the datacenter."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from beffroi.core.decisions import door as login_door
from beffroi.core.decisions import exceptions
from beffroi.core.decisions.actions import revoke
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import SignIn
from beffroi_protocol.indicators import normalise

from tests.conftest import PASSWORD, Commune
from tests.fixtures_portal import visitor
from tests.fixtures_stream import Centre, block, eventually, running_centre  # noqa: F401

ADDRESS = "185.203.116.77"


def test_decision_reaches_the_login_door_and_its_end_too(centre: Centre, tmp_path: Path) -> None:
    door = centre.door("login", "login", tmp_path)
    door.start()
    eventually(lambda: door.connected, "connected")
    decision = block(ADDRESS)
    eventually(lambda: door.match_address(ADDRESS), "blocked")
    revoke(actor=Actor.system("tests"), decision=decision, reason="tests")
    eventually(lambda: door.match_address(ADDRESS) is None, "free again")
    door.stop()


def test_extended_decision_reaches_the_door_under_its_own_identifier(centre: Centre, tmp_path: Path) -> None:
    door = centre.door("login", "login", tmp_path)
    door.start()
    first = block(ADDRESS)
    eventually(lambda: door.match_address(ADDRESS), "blocked")
    longer = block(ADDRESS, ttl_s=7200)
    end_s = int(longer.expires_at.timestamp())
    eventually(lambda: (e := door.match_address(ADDRESS)) is not None and e.expires_at == end_s, "extended")
    entry = door.match_address(ADDRESS)
    assert entry is not None
    assert (entry.id, longer.id) == (first.id, first.id)
    door.stop()


@pytest.fixture
def portal_door(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The door of the portal itself, in this process, at the running stream."""
    login_door.stop()
    monkeypatch.setattr(login_door, "load", lambda: centre.config)
    yield
    login_door.stop()


@pytest.mark.usefixtures("portal_door")
def test_portal_refuses_a_blocked_address_and_whoever_it_cannot_read_passes(centre: Centre) -> None:
    assert login_door.blocked_address(ADDRESS) is None
    decision = block(ADDRESS)
    network = block("2a0b:f4c2:77::/48", "cidr")
    eventually(lambda: login_door.blocked_address(ADDRESS), "blocked")
    found = login_door.blocked_address(ADDRESS)
    assert found is not None
    assert found.id == decision.id
    eventually(lambda: login_door.blocked_address("2a0b:f4c2:77:1::9"), "its network is blocked")
    assert login_door.blocked_address("::ffff:185.203.116.78") is None
    for hostile in ("", "unknown", "185.203.116.77, 10.0.0.1", "1" * 5000, "\x00", ADDRESS + ":443"):
        assert login_door.blocked_address(hostile) is None
    # The last list stays in force while stream is away, also for a process that starts then.
    centre.stop()
    login_door.stop()
    assert login_door.blocked_address(ADDRESS) is not None
    centre.start()
    revoke(actor=Actor.system("tests"), decision=network, reason="tests")
    eventually(lambda: login_door.blocked_address("2a0b:f4c2:77:1::9") is None, "free again")


@pytest.mark.usefixtures("portal_door")
def test_what_a_commune_lets_through_opens_the_sign_in_door_for_its_people_alone(
    centre: Centre, beaune: Commune, nuits: Commune, administrator: Actor
) -> None:
    assert login_door.blocked_address(ADDRESS) is None
    block(ADDRESS)
    eventually(lambda: login_door.blocked_address(ADDRESS), "blocked")
    assert not login_door.some_allow(ADDRESS)
    made = exceptions.allow_locally(
        actor=administrator,
        collectivite_id=beaune.id,
        indicator=normalise("cidr", "185.203.116.0/24"),
        ttl_s=600,
        reason="télémaintenance",
    )
    eventually(lambda: login_door.blocked_address(ADDRESS, [beaune.id]) is None, "its people pass")
    assert login_door.some_allow(ADDRESS)
    for others in ([], [nuits.id], [beaune.id, nuits.id], [""]):
        assert login_door.blocked_address(ADDRESS, others) is not None
    local = block("185.203.117.9", scope=nuits.id)
    eventually(lambda: login_door.blocked_address("185.203.117.9", [nuits.id]), "refused for its people")
    assert login_door.blocked_address("185.203.117.9", [beaune.id]) is None
    # A door that starts while stream is away knows the exceptions too; one that comes back hears what ended.
    centre.stop()
    login_door.stop()
    assert login_door.blocked_address(ADDRESS, [beaune.id]) is None
    exceptions.end(actor=beaune.agent, exception_id=made.id)
    revoke(actor=Actor.system("tests"), decision=local, reason="tests")
    centre.start()
    eventually(lambda: login_door.blocked_address(ADDRESS, [beaune.id]), "blocked again")
    eventually(lambda: login_door.blocked_address("185.203.117.9", [nuits.id]) is None, "free again")


def test_a_box_cannot_ask_for_the_overlays_of_all(centre: Centre, committed: str) -> None:
    own = centre.box("col_a")
    for channel in ("box@*", "box@col_b", "mail@*"):
        assert own.ask(f"box:0:0:,{channel}:0:0:").status == 404


def test_door_without_a_feed_lets_people_sign_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from beffroi.lib.config import Config

    login_door.stop()
    monkeypatch.setattr(login_door, "load", lambda: Config(state=tmp_path))
    assert login_door.start() is None
    assert login_door.blocked_address(ADDRESS) is None


@pytest.mark.usefixtures("portal_door")
def test_a_session_ends_where_it_goes_on_from_an_address_that_is_refused(
    centre: Centre, beaune: Commune
) -> None:
    block(ADDRESS)
    eventually(lambda: login_door.blocked_address(ADDRESS), "blocked")
    browser = visitor("92.184.100.7")
    browser.post("/connexion/", {"login": "agent@beaune.test", "password": PASSWORD})
    stolen = visitor(ADDRESS)
    stolen.cookies = browser.cookies.copy()
    assert browser.get("/").status_code == 200
    answer = stolen.get("/")
    assert (answer.status_code, answer["Location"]) == (302, "/connexion/")
    assert stolen.get(answer["Location"]).status_code == 403
    assert browser.get("/").status_code == 302, "of both: nobody knows whose it is"
    assert set(SignIn.objects.values_list("address", flat=True)) == {"92.184.100.7"}
