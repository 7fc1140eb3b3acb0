"""Mails of copiers that wait in a box which another collectivité got."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from beffroi_box.relay import Relaying
from beffroi_box.relaylink import Order
from beffroi_box.relayspool import Draft, Envelope, SpoolFull
from beffroi_protocol.relaying import Device, Relay

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


def order(relay: Relay, owner: str) -> Order:
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
