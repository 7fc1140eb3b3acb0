"""Whose a sending address seems to be: a name that a secretary may know, rather than numbers.

In this order: a domain that the mail proved (DKIM, then SPF) and that is not the commune's; the host's name in DNS,
where it leads back to the address; the network. A name is the sender's own claim: it groups, and decides nothing.

Process: sources; asks the centre's resolver.
Hostile: names in the reports, and what DNS says of strangers' addresses.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable
from functools import cache

import dns.reversename
from publicsuffixlist import PublicSuffixList

from beffroi.lib.config import Config
from beffroi.mail.domains.asking import Asker
from beffroi.mail.engines import pools
from beffroi.mail.reports.dmarc import name_of
from beffroi.mail.reports.values import Row

OURS = "@"
"""The operator of our own addresses: no domain and no network is called so."""
MOST_NAMES = 100
"""Addresses of one report that are looked up; the others are known by their network."""


@cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()


def registered(name: str) -> str:
    """``mail.orange.fr`` -> ``orange.fr``; the name itself where it is a public suffix."""
    return str(_suffixes().privatesuffix(name) or name)


def own_addresses(config: Config, asker: Asker) -> frozenset[str]:
    """Where our mail leaves from."""
    told = [*pools.addresses(config), *config.own_addresses.split()]
    return frozenset({*told, *asker.addresses(config.outgoing_name or config.mail_name)})


def operators(
    rows: Iterable[Row], domain: str, ours: Collection[str], asker: Asker
) -> dict[tuple[str, str, str], str]:
    """(address, dkim_domain, spf_domain) -> operator, for every row of one report."""
    own = registered(domain)
    hosts: dict[str, str] = {}
    found: dict[tuple[str, str, str], str] = {}
    for row in rows:
        if row.address in ours:
            found[row.address, row.dkim_domain, row.spf_domain] = OURS
            continue
        proved = [registered(one) for one in (row.dkim_domain, row.spf_domain) if one]
        named = next((one for one in proved if one != own), "")
        if not named and row.address not in hosts:
            hosts[row.address] = _host(row.address, asker) if len(hosts) < MOST_NAMES else ""
        found[row.address, row.dkim_domain, row.spf_domain] = (
            named or hosts.get(row.address, "") or network(row.address)
        )
    return found


def _host(address: str, asker: Asker) -> str:
    """The registered name of the host, where its name leads back to the address; else ""."""
    question = dns.reversename.from_address(address).to_text().rstrip(".")
    for row in asker.ask(question, "PTR").rows[:3]:
        name = name_of(row)
        if name and address in asker.addresses(name):
            return registered(name)
    return ""


def network(address: str) -> str:
    bits = 24 if ":" not in address else 48
    return str(ipaddress.ip_network(f"{address}/{bits}", strict=False))


def is_address(text: str) -> bool:
    """In its usual spelling; one with a zone ("fe80::1%eth0") is nobody's on the internet."""
    try:
        return "%" not in text and str(ipaddress.ip_address(text)) == text
    except ValueError:
        return False
