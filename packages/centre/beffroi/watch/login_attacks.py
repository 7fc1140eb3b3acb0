"""Password guessing: when failed sign-ins from one address are an attack. The rule is pure.

Purpose: count failures across doors, accounts and communes, and report the address once they can only be guessing.
Process: worker, in memory; a restart forgets a day of failures, which an attacker must make again.
Rule:    ``ACCOUNTS`` different accounts of at least ``COMMUNES`` communes failed within ``WINDOW_S``, or
         ``DAY_ACCOUNTS`` of ``DAY_COMMUNES`` within a day, over completed
         connections, and fewer people signed in from there in the last days. So neither a town hall behind one
         address whose mail programs hold old passwords, nor a shared house of several communes, is one. The
         Département is one of them. Its console alone is guessed at when ``NOBODY`` of the names tried are nobody's:
         its own office, whose codes all fail after a clock went wrong, knows who works there.
         The addresses of an IPv6 /64 count as one: who has one has them all, and takes another for each try.
Input:   hostile accounts (digests) and addresses that completed a connection; bounded, the oldest give way.
Source:  docs/security/attack-model.md, abuses 3 and 22; docs/decisions/0209-slow-guesses-and-networks-of-ipv6.md.
"""

from __future__ import annotations

import collections
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from beffroi_protocol.indicators import Kind

from beffroi.core.identity.failures import source
from beffroi.lib import digits

DOOR = "login"
ACCOUNTS, COMMUNES, WINDOW_S = 5, 2, 600
DAY_ACCOUNTS, DAY_COMMUNES, DAY_S = 20, 5, 86400
NOBODY = 2
DEPARTEMENT = "departement"
"""The owner of administrators' accounts, where their domain is no collectivité's."""
MAX_ADDRESSES, MAX_ACCOUNTS = 20_000, 200
MOST_NETWORKS = 256
"""Ranges in force, beyond which addresses alone are reported: who has a /48 has 65,536 of them, and boîtiers write all
ranges anew with each."""


@dataclass(frozen=True)
class Failure:
    """``account``: a digest. ``collectivite_id``: of the account's domain, or DEPARTEMENT, or "" for a domain of nobody
    here. ``nobody``: a name at the console that is no administrator's. ``address``: from where."""

    account: str
    collectivite_id: str
    at_s: float
    nobody: bool = False
    address: str = ""


def is_attack(failures: Collection[Failure], *, signed_in: int, now_s: float) -> bool:
    """``signed_in``: how many people signed in from this address in the last days."""
    found = evidence(failures, now_s=now_s)
    return speaks(found) and int(found["login_accounts"]) > signed_in


def evidence(failures: Collection[Failure], *, now_s: float) -> dict[str, str]:
    """Return the counts that a decision shows, of the day where they say it; no account."""
    day = _within(failures, now_s - DAY_S)
    if len(_accounts(day)) < DAY_ACCOUNTS or len(_communes(day)) < DAY_COMMUNES:
        day = _within(day, now_s - WINDOW_S)
    found = {"login_accounts": str(len(_accounts(day))), "login_communes": str(len(_communes(day)))}
    nobody = len(_accounts(one for one in day if one.nobody))
    return found | ({"login_nobody": str(nobody)} if nobody else {})


def _within(failures: Iterable[Failure], since_s: float) -> list[Failure]:
    return [one for one in failures if one.at_s >= since_s and one.collectivite_id]


def _accounts(failures: Iterable[Failure]) -> set[str]:
    return {one.account for one in failures}


def _communes(failures: Iterable[Failure]) -> set[str]:
    return {one.collectivite_id for one in failures}


def speaks(found: Mapping[str, object]) -> bool:
    """Whether a sighting's evidence carries the detector ``login_attack``."""
    told = (str(found.get(f"login_{what}", "")) for what in ("accounts", "communes", "nobody"))
    accounts, communes, nobody = (digits.number(text) or 0 for text in told)
    return accounts >= ACCOUNTS and (communes >= COMMUNES or nobody >= NOBODY)


class Memory:
    """The failures of the last day, by source: an IPv4 address, an IPv6 /64."""

    def __init__(self) -> None:
        self._by_source: collections.OrderedDict[str, dict[str, Failure]] = collections.OrderedDict()
        self._reported: collections.OrderedDict[str, str] = collections.OrderedDict()

    def add(self, failure: Failure) -> Collection[Failure]:
        """Return all that is remembered of its source; one account counts once, nobody's not at all."""
        if not failure.collectivite_id:
            return []
        found = self._by_source.setdefault(source(failure.address), {})
        self._by_source.move_to_end(source(failure.address))
        found.pop(failure.account, None)
        found[failure.account] = failure
        for account in [a for a, one in found.items() if failure.at_s - one.at_s > DAY_S]:
            del found[account]
        while len(found) > MAX_ACCOUNTS:
            del found[next(iter(found))]
        while len(self._by_source) > MAX_ADDRESSES:
            self._by_source.popitem(last=False)
        return list(found.values())

    def whom(self, address: str) -> tuple[Kind, str]:
        """What a report names: the address, or its /64 once another one of it failed, too, or was reported last."""
        network = source(address)
        used = {one.address for one in self._by_source.get(network, {}).values()}
        used |= {address, self._reported.get(network, address)}
        return (Kind.IP, address) if len(used) == 1 else (Kind.CIDR, network)

    def forget(self, address: str) -> None:
        """After a report: what was given back must be seen guessing anew."""
        self._by_source.pop(source(address), None)
        self._reported[source(address)] = address
        while len(self._reported) > MAX_ADDRESSES:
            self._reported.popitem(last=False)
