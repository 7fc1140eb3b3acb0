"""Delegation to the Département's name servers: what to ask a domain's provider for, and whether it is in place.

Purpose: a way to publish. The whole domain is delegated, or only the names below it whose records change: keys, DMARC,
         announcements. A name with a CNAME cannot be delegated, and the domain's own MX and SPF stand with the domain.
Hostile: what the zones above and the provider's servers answer. They are asked at public addresses only, so that no
         zone makes the centre call its own network.
Fails:   where nobody answers, it is not known.
Source:  RFC 1034 4.2 (zones are cut by NS records of the parent), 2181 6.1.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype

from beffroi.lib import public
from beffroi.lib.config import Config, SettingInvalid
from beffroi.mail.domains.asking import Asker
from beffroi.mail.domains.records import Purpose, Record

ASKED = 4
"""Servers of a parent that are asked at most, until one answers."""
_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+")


@dataclass(frozen=True)
class Way:
    """How name servers are reached. ``port``, ``private``: of a laboratory."""

    port: int = 53
    private: bool = False


@dataclass(frozen=True)
class Found:
    """``state``, ``code``, ``seen``: as of ``check.Result``."""

    state: str
    code: str
    seen: str = ""


def name_servers(config: Config) -> tuple[str, ...]:
    """The Département's, lower case without the last dot. Errors: SettingInvalid."""
    hosts = tuple(one.lower().rstrip(".") for one in config.dns_name_servers.split())
    if not all(_HOST.fullmatch(one) for one in hosts):
        raise SettingInvalid("dns_name_servers", config.state, "must be host names, separated by spaces")
    return hosts


def delegable(domain: str, plan: Iterable[Record]) -> list[Record]:
    """Records below the domain that may be a zone of their own: what changes, and moves no mail."""
    return [one for one in plan if one.type == "TXT" and one.name != domain]


def whole(domain: str, servers: Sequence[str]) -> list[Record]:
    """What the zone above must say so that the domain is ours to write."""
    return [Record(domain, "NS", f"{one}.", Purpose.DELEGATION) for one in servers]


def parts(domain: str, plan: Sequence[Record], servers: Sequence[str]) -> list[Record]:
    """What the domain's zone must say so that the names below it are ours, then what stays with its provider."""
    ours = delegable(domain, plan)
    cut = [row for name in dict.fromkeys(one.name for one in ours) for row in whole(name, servers)]
    return [*cut, *(one for one in plan if one not in ours)]


def look(domain: str, names: Collection[str], servers: Sequence[str], asker: Asker, way: Way) -> Found:
    """Whether the domain, or else ``names`` below it, is delegated to ``servers`` and answered there."""
    ours = set(servers)
    above = _above(domain, asker)
    named = _delegated(domain, above, asker, way) if above else None
    if named is None:
        return Found("unknown", "unanswered")
    if named & ours:
        if named - ours:
            return Found("warn", "mixed", " / ".join(sorted(named - ours)))
        return _answered("zone", [domain], named, asker, way)
    cuts = {one: _delegated(one, domain, asker, way) for one in names}
    if any(one is None for one in cuts.values()):
        return Found("unknown", "unanswered")
    whose = {name: found or set() for name, found in cuts.items()}
    if not any(found & ours for found in whose.values()):
        return Found("none", "elsewhere", " / ".join(sorted(named)))
    missing = sorted(name for name, found in whose.items() if not found or found - ours)
    if missing:
        return Found("warn", "part", " / ".join(missing))
    return _answered("names", sorted(whose), set().union(*whose.values()), asker, way)


def _answered(code: str, zones: Sequence[str], hosts: Collection[str], asker: Asker, way: Way) -> Found:
    """Every server that the parent names answers for every zone: senders ask any of them."""
    silent = False
    for host in sorted(hosts):
        for zone in zones:
            answers = [_ask(one, zone, "SOA", asker, way) for one in sorted(asker.addresses(host))]
            met = [one for one in answers if one is not None]
            silent = silent or not met
            if any(not (one.flags & dns.flags.AA and one.answer) for one in met):
                return Found("bad", "lame", f"{host}: {zone}")
    return Found("unknown", "unanswered") if silent else Found("ok", code, " / ".join(sorted(hosts)))


def _above(name: str, asker: Asker) -> str:
    """The zone that holds the delegation of this name; "" where none answers."""
    while "." in name:
        name = name.partition(".")[2]
        if asker.ask(name, "SOA").rows:
            return name
    return ""


def _delegated(name: str, parent: str, asker: Asker, way: Way) -> set[str] | None:
    """Servers that the parent's own servers name for ``name``; None where none of those answers."""
    wanted = dns.name.from_text(name)
    for address in islice(_addresses(parent, asker, way), ASKED):
        answer = _ask(address, name, "NS", asker, way)
        if answer is None or answer.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            continue
        rows = [
            row.to_text().rstrip(".").lower()
            for one in (*answer.answer, *answer.authority)
            if one.name == wanted and one.rdtype == dns.rdatatype.NS
            for row in one
        ]
        if rows or answer.flags & dns.flags.AA:
            return set(rows)
    return None


def _addresses(zone: str, asker: Asker, way: Way) -> Iterable[str]:
    for host in sorted(asker.ask(zone, "NS").rows):
        for address in sorted(asker.addresses(host.rstrip(".")), key=lambda one: ":" in one):
            if way.private or public.is_public(public.reached(address)):
                yield address


def _ask(address: str, name: str, kind: str, asker: Asker, way: Way) -> dns.message.Message | None:
    return asker.ask_server(address, way.port, name, kind)
