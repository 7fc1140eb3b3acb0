"""Mails of copiers that wait in a box which another collectivité got, or whose collectivité wants no relay any more."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from beffroi_box.config import BoxConfig
from beffroi_box.relay import Relaying
from beffroi_box.relaykeeper import RelayKeeper
from beffroi_box.relaylink import Order, socket_path
from beffroi_box.relayspool import Draft, Envelope, SpoolFull
from beffroi_box.store import Identity
from beffroi_protocol.facts import Fact, MailRelayed
from beffroi_protocol.relaying import Device, Relay
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.waiting import PATIENCE_S, until

BEFORE = Relay("copieur@beaune.fr", "boitiers.example", (Device("192.0.2.7", "Copieur"),), ("@beaune.fr",))
AFTER = Relay("scan@nuits.fr", "boitiers.example", (Device("192.0.2.7", "Copieur"),), ("@nuits.fr",))


def relaying(place: Path, *orders: Order) -> Relaying:
    """A process that heard these orders, then that none is wanted."""
    found = Relaying(place / "relay.sock", place / "spool")
    answers: Sequence[Order | None] = (*orders, None)
    found._ask = iter(answers).__next__
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("beffroi_box.relay.LOOK_S", 0.0)
        asyncio.run(found._listen())
    return found


def begun(relay: Relaying) -> Draft:
    draft = relay._spool.draft()
    draft.write(b"From: copieur@beaune.fr\r\n\r\nsecret\r\n")
    return draft


def take(draft: Draft) -> None:
    draft.keep(Envelope(1, "Copieur", ("mairie@beaune.fr",), int(time.time())))


def order(relay: Relay | None, owner: str) -> Order:
    return Order(relay, (), (), "", owner)


def test_nothing_of_the_former_collectivite_is_left_and_the_centre_hears_how_much_it_was(
    tmp_path: Path,
) -> None:
    first = relaying(tmp_path, order(BEFORE, "col_beaune"))
    for _ in range(3):
        take(begun(first))
    second = relaying(tmp_path, order(AFTER, "col_nuits"))
    assert list(second._spool.waiting()) == [] and second._spool.size() == (0, 0)
    assert b"secret" not in b"".join(one.read_bytes() for one in (tmp_path / "spool").iterdir())
    counted = second._counts[""]
    assert (counted.refused, counted.reason) == (3, "moved")
    take(begun(second))
    third = relaying(tmp_path, order(AFTER, "col_nuits"))
    assert len(list(third._spool.waiting())) == 1 and not third._counts


def test_what_is_being_received_meanwhile_has_to_be_sent_again(tmp_path: Path) -> None:
    relay = relaying(tmp_path, order(BEFORE, "col_beaune"))
    draft = begun(relay)
    relay._move_in("col_nuits")
    with pytest.raises(SpoolFull):
        take(draft)
    assert relay._spool.size() == (0, 0)


def test_another_box_of_the_same_collectivite_and_an_older_agent_change_nothing(tmp_path: Path) -> None:
    relay = relaying(tmp_path, Order(BEFORE, (), ()))
    take(begun(relay))
    for owner in ("", "col_beaune", "col_beaune"):
        relay = relaying(tmp_path, order(BEFORE, owner))
        assert len(list(relay._spool.waiting())) == 1 and not relay._counts


class Agent:
    """The keeper on its socket, and what it told the centre. ``relay``: what the policy says."""

    def __init__(self, place: Path, owner: str, relay: Relay | None) -> None:
        self.relay, self.told = relay, list[Fact]()
        self.stopping = threading.Event()
        config = BoxConfig(state=place, run=str(place), relay_user="", lan="none")
        identity = Identity(1, "box_1", owner, "", "", "")
        centre: Any = SimpleNamespace(addresses=tuple)
        spool: Any = SimpleNamespace(tell=self.told.append, waiting=lambda: 0)
        self.keeper = RelayKeeper(
            config,
            identity,
            Ed25519PrivateKey.generate(),
            centre,
            spool,
            lambda: 0,
            lambda: self.relay,
        )
        self.socket = socket_path(config)
        self.thread = threading.Thread(target=self.keeper.run, args=(self.stopping,), daemon=True)

    def __enter__(self) -> Agent:
        self.thread.start()
        until(self.socket.exists, "the relay's process is not started")
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self.thread.join(PATIENCE_S)

    def has_ended_it(self) -> None:
        until(lambda: not self.socket.exists(), "it is started for ever")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("beffroi_box.relay.LOOK_S", 0.01)
    monkeypatch.setattr("beffroi_box.relaykeeper.LOOK_S", 0.01)


def waits(place: Path) -> Relaying:
    first = relaying(place, order(BEFORE, "col_beaune"))
    for _ in range(3):
        take(begun(first))
    return first


def test_nothing_of_the_former_collectivite_is_left_where_the_next_one_wants_no_relay(
    tmp_path: Path, quick: None
) -> None:
    waits(tmp_path)
    with Agent(tmp_path, "col_nuits", None) as agent:
        Relaying(agent.socket, tmp_path / "spool").run()
        agent.has_ended_it()
    assert [one.name for one in (tmp_path / "spool").iterdir()] == ["belongs-to"]
    (told,) = agent.told
    assert isinstance(told, MailRelayed) and (told.refused, told.reason) == (3, "moved")


def test_a_box_without_a_relay_starts_its_process_once(tmp_path: Path, quick: None) -> None:
    with Agent(tmp_path, "col_nuits", None) as agent:
        Relaying(agent.socket, tmp_path / "spool").run()
        agent.has_ended_it()
        agent.relay = BEFORE
        until(agent.socket.exists, "it is wanted later")
        agent.relay = None
        time.sleep(0.1)
        assert agent.socket.exists(), "until it has heard of it: it would go on taking mail"
        Relaying(agent.socket, tmp_path / "spool").run()
        agent.has_ended_it()
    assert agent.told == []


def test_a_relay_that_is_not_wanted_any_more_keeps_what_waits_for_its_days_and_takes_nothing(
    tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits(tmp_path)
    with Agent(tmp_path, "col_beaune", None) as agent:
        relay = Relaying(agent.socket, tmp_path / "spool")
        running = threading.Thread(target=relay.run)
        running.start()
        until(lambda: agent.keeper.waiting == 3, "the agent does not hear of what is left")
        assert (agent.keeper.word, relay._receiver.relay) == ("off", None)
        agent.relay = BEFORE  # wanted again: they are sent
        until(lambda: relay._receiver.relay == BEFORE, "the relay does not hear of it")
        agent.relay = None
        until(lambda: relay._receiver.relay is None, "the relay does not hear of it")
        monkeypatch.setattr("beffroi_box.relay.GIVEN_UP_S", -1)
        relay._away = False
        relay._deliver_all()
        running.join(PATIENCE_S)
        agent.has_ended_it()
    assert [one.name for one in (tmp_path / "spool").iterdir()] == ["belongs-to"]
    assert sum(one.refused for one in agent.told if isinstance(one, MailRelayed)) == 3
