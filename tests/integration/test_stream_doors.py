"""The feed over a real socket, to a door in the datacenter."""

from __future__ import annotations

from pathlib import Path

from beffroi.core.decisions.actions import activate, revoke
from beffroi.core.identity.actor import Actor
from beffroi_protocol.indicators import normalise

from tests.fixtures_stream import Centre, eventually, running_centre  # noqa: F401

ADDRESS = "185.203.116.77"


def block(value: str = ADDRESS, kind: str = "ip", *, scope: str = "all", ttl_s: int = 3600):  # type: ignore[no-untyped-def]
    return activate(
        actor=Actor.system("tests"),
        indicator=normalise(kind, value),
        action="block",
        scope=scope,
        reason="two_communes",
        evidence={},
        rule="two_communes",
        ttl_s=ttl_s,
    )


def test_decision_reaches_the_login_door_and_its_end_too(centre: Centre, tmp_path: Path) -> None:
    door = centre.door("login", "login", tmp_path)
    door.start()
    eventually(lambda: door.connected, "connected")
    decision = block()
    eventually(lambda: door.match_address(ADDRESS), "blocked")
    revoke(actor=Actor.system("tests"), decision=decision, reason="tests")
    eventually(lambda: door.match_address(ADDRESS) is None, "free again")
    door.stop()


def test_extended_decision_reaches_the_door_under_its_own_identifier(centre: Centre, tmp_path: Path) -> None:
    door = centre.door("login", "login", tmp_path)
    door.start()
    first = block()
    eventually(lambda: door.match_address(ADDRESS), "blocked")
    longer = block(ttl_s=7200)
    end_s = int(longer.expires_at.timestamp())
    eventually(lambda: (e := door.match_address(ADDRESS)) is not None and e.expires_at == end_s, "extended")
    entry = door.match_address(ADDRESS)
    assert entry is not None
    assert (entry.id, longer.id) == (first.id, first.id)
    door.stop()
