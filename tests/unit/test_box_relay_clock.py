"""Mails of copiers that wait on a box whose clock is set meanwhile."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from beffroi_box.relay import GIVEN_UP_S, Relaying
from beffroi_box.relaylink import Order
from beffroi_box.relayspool import Envelope
from beffroi_protocol.relaying import Device, Relay

DAY_S = 86400.0
RELAY = Relay("copieur@beaune.fr", "boitiers.example", (Device("Copieur", "192.0.2.7"),), ("@beaune.fr",))


class Clock:
    """The machine's; ``wait`` lets both it and the steady one go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, now: float) -> None:
        self.now, self.steady = now, 1000.0
        monkeypatch.setattr(time, "time", lambda: self.now)
        monkeypatch.setattr(time, "monotonic", lambda: self.steady)

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.steady += seconds


def relaying(directory: Path) -> Relaying:
    found = Relaying(directory / "relay.sock", directory / "spool")
    found._order = Order(RELAY, (), ())  # no address of the centre: each attempt fails
    return found


def take(relay: Relaying) -> str:
    draft = relay._spool.draft()
    draft.write(b"Subject: scan\r\n\r\nx\r\n")
    draft.keep(Envelope(1, "Copieur", ("mairie@beaune.fr",), int(time.time())))
    return draft.id


def waits(relay: Relaying) -> dict[str, bool]:
    assert relay._deliver_all()
    return {mail_id: envelope.notice for mail_id, envelope in relay._spool.waiting()}


@pytest.mark.parametrize("wrong", [1_000_000.0, 1_800_000_000.0 - 30 * DAY_S])
def test_a_mail_taken_before_the_clock_was_right_is_not_given_up_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: float
) -> None:
    clock = Clock(monkeypatch, wrong)
    relay = relaying(tmp_path)
    mail = take(relay)
    assert waits(relay) == {mail: False}
    clock.wait(60.0)
    clock.now = 1_800_000_000.0
    assert waits(relay) == {mail: False}
    clock.wait(GIVEN_UP_S - 100)
    assert waits(relay) == {mail: False}
    clock.wait(200)
    assert list(waits(relay).values()) == [True], "then its mailbox is told"


def test_a_mail_taken_by_a_right_clock_is_given_up_in_time_whatever_the_clock_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch, 1_800_000_000.0)
    mail = take(relaying(tmp_path))
    clock.now = 1_000_000.0  # a power cut, no battery
    relay = relaying(tmp_path)
    assert waits(relay) == {mail: False}
    clock.wait(60.0)
    clock.now = 1_800_000_000.0 + DAY_S
    assert waits(relay) == {mail: False}
    clock.wait(GIVEN_UP_S - DAY_S + 100)
    assert list(waits(relay).values()) == [True]
