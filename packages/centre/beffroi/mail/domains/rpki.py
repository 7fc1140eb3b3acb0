"""Is the way to our mail and name servers covered by RPKI, as a local validator says?

Purpose: internet.nl asks for a valid ROA over each address of MX, its name servers and the domain's.
Input:   a file of validated ROA payloads in CSV, as rpki-client and Routinator write it (AS, prefix, longest, ...);
         the origin of an address by DNS, at a zone in the manner of origin.asn.cymru.com.
Fails:   no file, an old one, or no origin is "not measured here" with its reason, never a fault of the domain.
Source:  RFC 6811 (validity of an origin); internet.nl's mail test, 2026.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from beffroi.mail.domains.asking import Asker
from beffroi.mail.domains.results import Result

STALE_S = 86400.0
_LINE_CHARS = 200
_ADDRESSES = 24


@dataclass(frozen=True)
class Sources:
    """``payloads``: the validator's CSV file; ``origins``: zone that tells which AS announces an address. "": none."""

    payloads: str = ""
    origins: str = ""


@dataclass(frozen=True)
class Payload:
    prefix: ipaddress.IPv4Network | ipaddress.IPv6Network
    longest: int
    asn: int


def look(domain: str, mx: str, asker: Asker, sources: Sources) -> list[Result]:
    """``rpki_mx``, ``rpki_ns``, ``rpki_mx_ns``."""
    groups = {
        "rpki_mx": asker.addresses(mx),
        "rpki_ns": _servers(domain, asker),
        "rpki_mx_ns": _servers(mx, asker),
    }
    if not sources.payloads:
        return [Result(item, "unknown", "no_validator") for item in groups]
    wanted = sorted(
        {one for group in groups.values() for one in group if ipaddress.ip_address(one).is_global}
    )
    try:
        path = Path(sources.payloads)
        if time.time() - path.stat().st_mtime > STALE_S:
            return [Result(item, "unknown", "stale") for item in groups]
        with path.open(encoding="ascii", errors="replace") as lines:
            known = covering(wanted[:_ADDRESSES], lines)
    except OSError:
        return [Result(item, "unknown", "unreadable") for item in groups]
    judged = {one: _judge(one, known.get(one, []), asker, sources.origins) for one in known}
    return [
        _worst(item, [(one, judged[one]) for one in sorted(group) if one in judged])
        for item, group in groups.items()
    ]


def _servers(name: str, asker: Asker) -> set[str]:
    """Addresses of the name servers of the zone that holds ``name``; a zone of one label is not looked at."""
    labels = name.split(".")
    for start in range(len(labels) - 1):
        answer = asker.ask(".".join(labels[start:]), "NS")
        if answer.rows:
            return {one for row in answer.rows for one in asker.addresses(row.rstrip(".").lower())}
        if answer.status == "unanswered":
            return set()
    return set()


def covering(addresses: Sequence[str], lines: Iterable[str]) -> dict[str, list[Payload]]:
    """address -> payloads over it. A line is looked at further only if its prefix is one of the few that can be."""
    possible: dict[str, list[str]] = {}
    for address in addresses:
        for length in range(ipaddress.ip_address(address).max_prefixlen + 1):
            possible.setdefault(str(ipaddress.ip_network(f"{address}/{length}", strict=False)), []).append(
                address
            )
    found: dict[str, list[Payload]] = {one: [] for one in addresses}
    for line in lines:
        asn, _, rest = line[:_LINE_CHARS].partition(",")
        prefix, _, rest = rest.partition(",")
        over = possible.get(prefix)
        longest = rest.partition(",")[0].strip()
        number = asn.upper().removeprefix("AS")
        if over and longest.isdecimal() and number.isdecimal():
            payload = Payload(ipaddress.ip_network(prefix), int(longest), int(number))
            for address in over:
                found[address].append(payload)
    return found


def _judge(address: str, over: Sequence[Payload], asker: Asker, origins: str) -> tuple[str, str]:
    """(state, code): a ROA without the announcement that it speaks of proves half."""
    if not over:
        return "warn", "absent"
    announced = list(_announced(address, asker, origins)) if origins else []
    if not announced:
        return "unknown", "no_origin"
    valid = all(
        any(one.asn == asn and one.longest >= prefix.prefixlen >= one.prefix.prefixlen for one in over)
        for asn, prefix in announced
    )
    return ("ok", "ok") if valid else ("bad", "invalid")


def _announced(
    address: str, asker: Asker, origins: str
) -> Iterator[tuple[int, ipaddress.IPv4Network | ipaddress.IPv6Network]]:
    """From TXT rows such as "23028 | 216.90.108.0/24 | US | ..."; IPv6 stands under "origin6", as there."""
    parsed = ipaddress.ip_address(address)
    zone = origins if parsed.version == 4 else origins.replace("origin.", "origin6.", 1)
    reverse = parsed.reverse_pointer.removesuffix(".in-addr.arpa").removesuffix(".ip6.arpa")
    for row in asker.ask(f"{reverse}.{zone}", "TXT").rows:
        numbers, _, rest = row.partition("|")
        try:
            prefix = ipaddress.ip_network(rest.partition("|")[0].strip())
        except ValueError:
            continue
        yield from ((int(one), prefix) for one in numbers.split() if one.isdecimal())


def _worst(item: str, judged: Sequence[tuple[str, tuple[str, str]]]) -> Result:
    if not judged:
        return Result(item, "unknown", "no_address")
    order = ("bad", "warn", "unknown", "ok")
    address, (state, code) = min(judged, key=lambda one: order.index(one[1][0]))
    return Result(item, state, code, "" if state == "ok" else address)
