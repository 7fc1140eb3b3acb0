"""Password guessing: when failed sign-ins from one address are an attack. The rule is pure.

Purpose: count failures across doors, accounts and communes, and report the address once they can only be guessing.
Process: worker, in memory; a restart forgets at most ``WINDOW_S`` of failures, which an attacker must make again.
Rule:    ``ACCOUNTS`` different accounts of at least ``COMMUNES`` communes failed within ``WINDOW_S``, over completed
         connections, and fewer people signed in from there in the last days. So neither a town hall behind one
         address whose mail programs hold old passwords, nor a shared house of several communes, is one.
Input:   hostile accounts (digests) and addresses that completed a connection; bounded, the oldest give way.
Source:  docs/security/attack-model.md, abuse 3.
"""

from __future__ import annotations

import collections
from collections.abc import Collection, Mapping
from dataclasses import dataclass

DOOR = "login"
ACCOUNTS, COMMUNES, WINDOW_S = 5, 2, 600
MAX_ADDRESSES, MAX_ACCOUNTS = 20_000, 200


@dataclass(frozen=True)
class Failure:
    """``account``: a digest. ``collectivite_id``: of the account's domain, "" for a domain of nobody here."""

    account: str
    collectivite_id: str
    at_s: float


def is_attack(failures: Collection[Failure], *, signed_in: int, now_s: float) -> bool:
    """``signed_in``: how many people signed in from this address in the last days."""
    recent = [one for one in failures if now_s - one.at_s <= WINDOW_S and one.collectivite_id]
    accounts = {one.account for one in recent}
    communes = {one.collectivite_id for one in recent}
    return len(accounts) >= ACCOUNTS and len(communes) >= COMMUNES and len(accounts) > signed_in


def evidence(failures: Collection[Failure], *, now_s: float) -> dict[str, str]:
    """Return the counts that a decision shows; no account."""
    recent = [one for one in failures if now_s - one.at_s <= WINDOW_S and one.collectivite_id]
    return {
        "login_accounts": str(len({one.account for one in recent})),
        "login_communes": str(len({one.collectivite_id for one in recent})),
    }


def speaks(found: Mapping[str, object]) -> bool:
    """Whether a sighting's evidence carries the detector ``login_attack``."""
    accounts, communes = (str(found.get(f"login_{what}", "")) for what in ("accounts", "communes"))
    numbers = [int(text) if text.isascii() and text.isdigit() else 0 for text in (accounts, communes)]
    return numbers[0] >= ACCOUNTS and numbers[1] >= COMMUNES


class Memory:
    """The failures of the last minutes, by address."""

    def __init__(self) -> None:
        self._by_address: collections.OrderedDict[str, dict[str, Failure]] = collections.OrderedDict()

    def add(self, address: str, failure: Failure) -> Collection[Failure]:
        """Return all that is remembered of the address; one account counts once."""
        found = self._by_address.setdefault(address, {})
        self._by_address.move_to_end(address)
        found[failure.account] = failure
        for account in [a for a, one in found.items() if failure.at_s - one.at_s > WINDOW_S]:
            del found[account]
        while len(found) > MAX_ACCOUNTS:
            del found[next(iter(found))]
        while len(self._by_address) > MAX_ADDRESSES:
            self._by_address.popitem(last=False)
        return list(found.values())

    def forget(self, address: str) -> None:
        """After a report: an address that was given back must be seen guessing anew."""
        self._by_address.pop(address, None)
