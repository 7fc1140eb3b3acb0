"""Where a name leads: its addresses, asked from the centre's own resolver.

Process: worker, and console for a confirmation; outside of any transaction.
Input:   the names come from hostile mail, and so do the answers: at most ``MAX_NAMES`` names,
         ``MAX_ADDRESSES`` addresses each, ``TIMEOUT_S`` for all together.
Fails:   open: a name that does not answer in time has no addresses; it is blocked by name all the same.
Source:  RFC 1035; dnspython.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

import dns.asyncresolver
import dns.exception
from beffroi_protocol.errors import IndicatorInvalid
from beffroi_protocol.indicators import Kind, normalise

from beffroi.lib.config import Config

log = logging.getLogger("beffroi.watch")

TIMEOUT_S = 1.0
MAX_NAMES = 16
MAX_ADDRESSES = 16


def addresses(names: Iterable[str], config: Config) -> dict[str, list[str]]:
    """Return the IPv4 and IPv6 addresses of each name, all asked at once; takes at most TIMEOUT_S."""
    wanted = sorted(set(names))[:MAX_NAMES]
    return asyncio.run(_all(wanted, config.resolver_port)) if wanted else {}


async def _all(names: list[str], port: int) -> dict[str, list[str]]:
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers = ["127.0.0.1"]
    resolver.port = port
    resolver.lifetime = resolver.timeout = TIMEOUT_S
    questions = [(name, kind) for name in names for kind in ("A", "AAAA")]
    answers = await asyncio.gather(*(_ask(resolver, name, kind) for name, kind in questions))
    found: dict[str, list[str]] = {name: [] for name in names}
    for (name, _), values in zip(questions, answers, strict=True):
        found[name].extend(values)
    return {name: list(dict.fromkeys(values))[:MAX_ADDRESSES] for name, values in found.items()}


async def _ask(resolver: dns.asyncresolver.Resolver, name: str, kind: str) -> list[str]:
    try:
        async with asyncio.timeout(TIMEOUT_S):
            answer = await resolver.resolve(name + ".", kind, search=False)
    except (dns.exception.DNSException, OSError, TimeoutError, ValueError) as error:
        log.info("a name of a sighting does not resolve (%s): %s", kind, type(error).__name__)
        return []
    found = []
    for record in answer:
        try:
            found.append(normalise(Kind.IP, record.to_text()).value)
        except IndicatorInvalid:
            continue
    return found
