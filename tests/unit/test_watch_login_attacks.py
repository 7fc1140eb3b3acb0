"""When failed sign-ins are guessing: attacks, and the house whose mail programs hold old passwords."""

from __future__ import annotations

from dataclasses import replace

import pytest
from beffroi.core.identity import failures
from beffroi.mail.gate.failures import MAX_WAITING, Failures
from beffroi.watch.login_attacks import (
    ACCOUNTS,
    DAY_S,
    DEPARTEMENT,
    MAX_ACCOUNTS,
    MAX_ADDRESSES,
    WINDOW_S,
    Failure,
    Memory,
    evidence,
    is_attack,
    speaks,
)

NOW = 1_800_000_000.0


def _failed(accounts: int, communes: int, *, age_s: float = 10.0) -> list[Failure]:
    return [Failure(f"account{n}", f"col_{n % communes}", NOW - age_s) for n in range(accounts)]


def _slowly(accounts: int, communes: int, *, age_s: float = 0.0) -> list[Failure]:
    found = _failed(accounts, communes, age_s=age_s)
    return [replace(one, at_s=one.at_s - 240 * n) for n, one in enumerate(found)]


def _at_console(accounts: int, *, nobody: int = 0) -> list[Failure]:
    return [Failure(f"adm{n}", DEPARTEMENT, NOW, nobody=n < nobody) for n in range(accounts)]


@pytest.mark.parametrize(
    ("found", "signed_in", "attack"),
    [
        (_failed(5, 2), 0, True),
        (_failed(40, 9), 0, True),
        (_failed(40, 9), 3, True),
        (_failed(4, 4), 0, False),
        (_failed(30, 1), 0, False),
        (_failed(6, 2), 12, False),
        (_failed(20, 4, age_s=WINDOW_S + 1), 0, False),
        ([Failure(f"a{n}", "", NOW) for n in range(50)], 0, False),
        ([], 0, False),
        (_at_console(5, nobody=2), 0, True),
        (_at_console(5, nobody=2), 5, False),
        (_at_console(9, nobody=1), 0, False),
        (_at_console(4, nobody=4), 0, False),
        ([*_at_console(1), *_failed(4, 1)], 0, True),
        (_slowly(20, 5), 0, True),
        (_slowly(20, 5), 19, True),
        (_slowly(20, 5), 20, False),
        (_slowly(19, 5), 0, False),
        (_slowly(20, 4), 0, False),
        (_slowly(20, 5, age_s=DAY_S), 0, False),
    ],
    ids=[
        "five accounts of two communes",
        "spraying",
        "spraying with a few stolen passwords",
        "four slips",
        "a town hall behind one address after its passwords changed",
        "a shared house where twelve people signed in",
        "long ago",
        "names of nobody here",
        "nothing",
        "names tried at the console",
        "an office where five people signed in",
        "an office whose codes fail, and a slip",
        "four names at the console",
        "an administrator among the accounts of one commune",
        "one account each four minutes",
        "one account each four minutes, with right passwords among them",
        "a shared house where in a day as many fail as sign in",
        "slips of a day",
        "slips of a day in a shared house of four communes",
        "the day before",
    ],
)
def test_rule(found: list[Failure], signed_in: int, attack: bool) -> None:
    assert is_attack(found, signed_in=signed_in, now_s=NOW) is attack


def _from(address: str, account: str = "x", owner: str = "col_a", at_s: float = NOW) -> Failure:
    return Failure(account, owner, at_s, address=address)


def test_one_account_that_fails_often_counts_once() -> None:
    memory = Memory()
    for n in range(100):
        found = memory.add(_from("5.181.80.66", "secretariat", at_s=NOW + n))
    assert len(found) == 1


def test_what_is_remembered_is_bounded_and_forgotten_after_a_report() -> None:
    memory = Memory()
    for n in range(MAX_ACCOUNTS + 50):
        found = memory.add(_from("5.181.80.66", f"account{n}"))
    assert len(found) == MAX_ACCOUNTS
    memory.forget("5.181.80.66")
    assert len(memory.add(_from("5.181.80.66"))) == 1
    for n in range(MAX_ADDRESSES):
        memory.add(_from(f"address {n}"))
    assert len(memory.add(_from("5.181.80.66", "y"))) == 1, "the oldest address gave way"


def test_an_account_that_failed_again_is_not_the_oldest_and_names_of_nobody_push_out_none() -> None:
    memory = Memory()
    for n in range(MAX_ACCOUNTS):
        memory.add(_from("5.181.80.66", f"account{n}"))
    memory.add(_from("5.181.80.66", "account0"))
    for n in range(MAX_ACCOUNTS):
        memory.add(_from("5.181.80.66", f"nobody{n}", owner=""))
    found = memory.add(_from("5.181.80.66", "new"))
    assert {"account0", "account2"} <= {one.account for one in found}


def test_a_subscriber_of_ipv6_counts_as_one_and_is_named_whole_once_it_uses_several_addresses() -> None:
    memory = Memory()
    for n in range(4):
        memory.add(_from("2a01:cb00:1:2::1", f"account{n}"))
    assert memory.whom("2a01:cb00:1:2::1") == ("ip", "2a01:cb00:1:2::1")
    assert len(memory.add(_from("2a01:cb00:1:2::2", "other"))) == 5
    assert memory.whom("2a01:cb00:1:2::2") == ("cidr", "2a01:cb00:1:2::/64")
    memory.add(_from("2a01:cb00:1:3::1"))
    assert memory.whom("2a01:cb00:1:3::1") == ("ip", "2a01:cb00:1:3::1")
    assert memory.whom("5.181.80.66") == ("ip", "5.181.80.66")


def test_who_takes_another_address_after_each_report_is_named_whole() -> None:
    memory = Memory()
    memory.add(_from("2a01:cb00:1:2::1"))
    memory.forget("2a01:cb00:1:2::1")
    memory.add(_from("2a01:cb00:1:2::1"))
    assert memory.whom("2a01:cb00:1:2::1") == ("ip", "2a01:cb00:1:2::1"), "the same again"
    memory.forget("2a01:cb00:1:2::1")
    memory.add(_from("2a01:cb00:1:2::9"))
    assert memory.whom("2a01:cb00:1:2::9") == ("cidr", "2a01:cb00:1:2::/64")


def test_evidence_holds_counts_that_carry_the_detector() -> None:
    found = evidence(_failed(7, 3), now_s=NOW)
    assert found == {"login_accounts": "7", "login_communes": "3"}
    assert speaks(found)


@pytest.mark.parametrize(
    "found",
    [{}, {"login_accounts": "99"}, {"login_accounts": "²", "login_communes": "9"}, evidence([], now_s=0)],
)
def test_evidence_that_says_too_little_carries_nothing(found: dict[str, object]) -> None:
    assert not speaks(found)


def test_account_leaves_as_a_digest_and_its_case_does_not_matter() -> None:
    first = failures.payload(address="::ffff:5.181.80.66", account=" Maire@Nolay.FR ", door="imap")
    second = failures.payload(address="5.181.80.66", account="maire@nolay.fr", door="imap")
    assert first == second
    assert first is not None
    assert (first["address"], first["domain"]) == ("5.181.80.66", "nolay.fr")
    assert "maire" not in str(first)


@pytest.mark.parametrize("address", ["", "nonsense", "127.0.0.1", "192.168.1.4", "::1", "fe80::1"])
def test_failures_from_no_internet_address_are_not_told(address: str) -> None:
    assert failures.payload(address=address, account="maire@nolay.fr", door="imap") is None


@pytest.mark.parametrize("account", ["", "root", "a@b", "x@" + "y" * 300, "a@é.fr", "'; --@x y.fr"])
def test_account_of_no_domain_has_none(account: str) -> None:
    found = failures.payload(address="5.181.80.66", account=account, door="imap")
    assert found is not None
    assert found["domain"] == ""
    assert Failure(str(found["account"]), "", NOW).collectivite_id == ""
    assert len(str(found["account"])) == 32


def test_gate_tells_a_repeated_failure_once_and_keeps_what_could_not_be_told() -> None:
    kept = Failures()
    assert kept.add(address="5.181.80.66", account="a@nolay.fr", door="imap")
    assert not kept.add(address="5.181.80.66", account="a@nolay.fr", door="imap")
    assert not kept.add(address="10.0.0.1", account="a@nolay.fr", door="imap")
    taken = kept.waiting.take()
    assert len(taken) == 1
    assert kept.waiting.take() == []
    kept.waiting.put_back(taken)
    assert kept.waiting.take() == taken


def test_gate_tells_no_flood_of_names_and_what_it_would_hide_all_the_same() -> None:
    kept = Failures()
    for n in range(3 * MAX_ACCOUNTS):  # of one subscriber of IPv6, an address each
        kept.add(address=f"2a01:cb00::{n:x}", account=f"a{n}@nobody{n}.fr", door="imap")
        kept.add(address=f"2a01:cb00::{n:x}", account=f"a{n}@nolay.fr", door="imap", owner="col_nolay")
    assert len(kept.waiting.take()) == 2 * MAX_ACCOUNTS
    assert kept.add(address="2a01:cb00::1", account="maire@beaune.fr", door="imap", owner="col_beaune")
    assert kept.add(address="2a01:cb00:0:1::1", account="a@nolay.fr", door="imap", owner="col_nolay")


def test_gate_keeps_the_newest_when_too_many_wait() -> None:
    kept = Failures()
    for n in range(MAX_WAITING + 10):
        kept.add(address=f"5.181.80.{n % 200}", account=f"a{n}@nolay.fr", door="imap")
    taken = kept.waiting.take()
    assert len(taken) == MAX_WAITING
    kept.add(address="5.181.80.66", account="new@nolay.fr", door="imap")
    kept.waiting.put_back(taken)
    again = kept.waiting.take()
    assert len(again) == MAX_WAITING
    assert again[-1]["account"] != taken[-1]["account"]
    for n in range(MAX_WAITING):
        kept.add(address=f"5.181.81.{n % 200}", account=f"b{n}@nolay.fr", door="imap")
    kept.waiting.put_back(taken)
    assert kept.waiting.take()[-1]["account"] == failures.digest(f"b{MAX_WAITING - 1}@nolay.fr")
    assert ACCOUNTS > 1
