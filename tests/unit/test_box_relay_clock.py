"""Mails of copiers that wait on a box whose clock is wrong, or is set meanwhile."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from beffroi_box.relay import GIVEN_UP_S, Relaying
from beffroi_box.relaylink import Order
from beffroi_box.relayspool import Envelope
from beffroi_protocol.relaying import Device, Relay

DAY_S = 86400.0
TODAY = 1_800_000_000.0
RELAY = Relay("copieur@beaune.fr", "boitiers.example", (Device("Copieur", "192.0.2.7"),), ("@beaune.fr",))


class Clock:
    """``now``: the machine's; ``signed``: the agent's; ``wait`` lets them go on, and the steady one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, now: float, signed: float = TODAY) -> None:
        self.now, self.signed, self.steady = now, signed, 1000.0
        monkeypatch.setattr(time, "time", lambda: self.now)
        monkeypatch.setattr(time, "monotonic", lambda: self.steady)

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.signed += seconds
        self.steady += seconds


class Box:
    """Of which no address of the centre is known: each attempt fails."""

    def __init__(self, directory: Path, clock: Clock, *, tells_time: bool = True) -> None:
        self._clock, self._tells_time = clock, tells_time
        self._relay = Relaying(directory / "relay.sock", directory / "spool")

    def _obey(self) -> None:
        self._relay._obey(Order(RELAY, (), (), now=int(self._clock.signed) if self._tells_time else 0))

    def take(self) -> str:
        self._obey()
        draft = self._relay._spool.draft()
        draft.write(b"Subject: scan\r\n\r\nx\r\n")
        draft.keep(Envelope(1, "Copieur", ("mairie@beaune.fr",), self._relay._now()))
        return draft.id

    def waits(self) -> dict[str, bool]:
        self._obey()
        assert self._relay._deliver_all()
        return {mail_id: envelope.notice for mail_id, envelope in self._relay._spool.waiting()}


@pytest.mark.parametrize("wrong", [1_000_000.0, TODAY - 30 * DAY_S])
def test_a_mail_taken_before_the_clock_was_right_is_not_given_up_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: float
) -> None:
    clock = Clock(monkeypatch, wrong)
    box = Box(tmp_path, clock, tells_time=False)
    mail = box.take()
    assert box.waits() == {mail: False}
    clock.wait(60.0)
    clock.now = TODAY
    assert box.waits() == {mail: False}
    clock.wait(GIVEN_UP_S - 100)
    assert box.waits() == {mail: False}
    clock.wait(200)
    assert list(box.waits().values()) == [True], "then its mailbox is told"


@pytest.mark.parametrize("wrong", [1_000_000.0, TODAY + 3000 * DAY_S], ids=["1970", "2035"])
def test_the_machine_s_clock_gives_no_mail_up_before_its_time_and_keeps_none_beyond(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: float
) -> None:
    clock = Clock(monkeypatch, TODAY)
    mail = Box(tmp_path, clock).take()
    clock.now = wrong  # a power cut
    box = Box(tmp_path, clock)
    assert box.waits() == {mail: False}
    clock.wait(DAY_S)
    clock.now = TODAY + DAY_S
    assert box.waits() == {mail: False}
    clock.wait(GIVEN_UP_S - DAY_S + 100)
    assert list(box.waits().values()) == [True]


def test_a_mail_in_a_box_that_was_off_for_a_fortnight_is_still_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Signed time goes on where it was, until the feed says more."""
    clock = Clock(monkeypatch, TODAY)
    mail = Box(tmp_path, clock).take()
    clock.now += 14 * DAY_S
    box = Box(tmp_path, clock)
    assert box.waits() == {mail: False}
    clock.wait(60.0)
    clock.signed += 14 * DAY_S
    assert box.waits() == {mail: False}
