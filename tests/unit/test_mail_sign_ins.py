"""Successful sign-ins that Dovecot tells of: the first is written at once, what repeats is counted."""

from __future__ import annotations

import pytest
from beffroi.mail.gate import sign_ins
from beffroi.mail.gate.sign_ins import SignIns

A = {"address": "185.203.116.9", "login": "Mairie@beaune.test", "door": "imap"}


def test_the_first_is_due_and_repetitions_wait() -> None:
    kept = SignIns()
    assert kept.add(**A)
    (first,) = kept.take()
    assert (first.login, first.address, first.door, first.count) == (
        "mairie@beaune.test",
        A["address"],
        "imap",
        1,
    )
    assert [kept.add(**A) for _ in range(5)] == [False] * 5
    assert kept.take() == []


def test_repetitions_are_written_together_later(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = SignIns()
    kept.add(**A)
    kept.take()
    for _ in range(5):
        kept.add(**A)
    monkeypatch.setattr(sign_ins, "AGAIN_S", 0.0)
    assert [one.count for one in kept.take()] == [5]


def test_what_could_not_be_written_is_not_lost() -> None:
    kept = SignIns()
    kept.add(**A)
    taken = kept.take()
    kept.add(**A)
    kept.put_back(taken)
    (again,) = kept.take()
    assert again.count == 2
    assert again.first_at == taken[0].first_at


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "", "nobody"])
def test_the_portals_own_reading_and_nonsense_leave_nothing(address: str) -> None:
    kept = SignIns()
    assert not kept.add(**{**A, "address": address})
    assert kept.take() == []


def test_an_ipv4_address_in_ipv6_form_is_the_same_address() -> None:
    kept = SignIns()
    kept.add(**{**A, "address": "::ffff:185.203.116.9"})
    assert kept.take()[0].address == A["address"]


def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sign_ins, "MAX_REMEMBERED", 3)
    kept = SignIns()
    for number in range(10):
        kept.add(**{**A, "login": f"a{number}@beaune.test"})
    assert len(kept.take()) == 3
