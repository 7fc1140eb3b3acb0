"""Password guessing: when failed sign-ins from one address are an attack. The rule is pure.

Purpose: count failures across doors, accounts and communes, and report the address once they can only be guessing.
Process: worker, in memory; a restart forgets at most ``WINDOW_S`` of failures, which an attacker must make again.
Rule:    ``ACCOUNTS`` different accounts of at least ``COMMUNES`` communes failed within ``WINDOW_S``, over completed
         connections, and fewer people signed in from there in the last days. So neither a town hall behind one
         address whose mail programs hold old passwords, nor a shared house of several communes, is one. The
         Département is one of them. Its console alone is guessed at when ``NOBODY`` of the names tried are nobody's:
         its own office, whose codes all fail after a clock went wrong, knows who works there.
Input:   hostile accounts (digests) and addresses that completed a connection; bounded, the oldest give way.
Source:  docs/security/attack-model.md, abuse 3.
"""

from __future__ import annotations

import collections
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from beffroi.lib import digits

DOOR = "login"
ACCOUNTS, COMMUNES, WINDOW_S = 5, 2, 600
NOBODY = 2
DEPARTEMENT = "departement"
"""The owner of administrators' accounts, where their domain is no collectivité's."""
MAX_ADDRESSES, MAX_ACCOUNTS = 20_000, 200


@dataclass(frozen=True)
class Failure:
    """``account``: a digest. ``collectivite_id``: of the account's domain, or DEPARTEMENT, or "" for a domain of nobody
    here. ``nobody``: a name at the console that is no administrator's."""

    account: str
    collectivite_id: str
    at_s: float
    nobody: bool = False


def is_attack(failures: Collection[Failure], *, signed_in: int, now_s: float) -> bool:
    """``signed_in``: how many people signed in from this address in the last days."""
    found = evidence(failures, now_s=now_s)
    return speaks(found) and int(found["login_accounts"]) > signed_in


def evidence(failures: Collection[Failure], *, now_s: float) -> dict[str, str]:
    """Return the counts that a decision shows; no account."""
    recent = [one for one in failures if now_s - one.at_s <= WINDOW_S and one.collectivite_id]
    found = {
        "login_accounts": str(len({one.account for one in recent})),
        "login_communes": str(len({one.collectivite_id for one in recent})),
    }
    nobody = len({one.account for one in recent if one.nobody})
    return found | ({"login_nobody": str(nobody)} if nobody else {})


def speaks(found: Mapping[str, object]) -> bool:
    """Whether a sighting's evidence carries the detector ``login_attack``."""
    told = (str(found.get(f"login_{what}", "")) for what in ("accounts", "communes", "nobody"))
    accounts, communes, nobody = (digits.number(text) or 0 for text in told)
    return accounts >= ACCOUNTS and (communes >= COMMUNES or nobody >= NOBODY)


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
