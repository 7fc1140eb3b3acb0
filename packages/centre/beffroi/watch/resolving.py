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
from beffroi_protocol.indicators import Indicator, Kind, normalise

from beffroi.lib.config import Config

log = logging.getLogger("beffroi.watch")

TIMEOUT_S = 1.0
MAX_NAMES = 16
MAX_ADDRESSES = 16
MAX_MAIL_HOSTS = 4


def addresses(names: Iterable[str], config: Config) -> dict[str, list[str]]:
    """Return the IPv4 and IPv6 addresses of each name, all asked at once; takes at most TIMEOUT_S."""
    wanted = sorted(set(names))[:MAX_NAMES]
    return asyncio.run(_all(wanted, config.resolver_port)) if wanted else {}


def mail_hosts(names: Iterable[str], config: Config) -> dict[str, list[str]]:
    """Return the mail servers that each name's MX records name; takes at most TIMEOUT_S."""
    wanted = sorted(set(names))[:MAX_NAMES]
    if not wanted:
        return {}
    answers = asyncio.run(_each([(name, "MX") for name in wanted], config.resolver_port))
    return {
        name: [host.value for a in found[:MAX_MAIL_HOSTS] if (host := _read(Kind.DOMAIN, a.split()[-1]))]
        for name, found in zip(wanted, answers, strict=True)
    }


async def _all(names: list[str], port: int) -> dict[str, list[str]]:
    questions = [(name, kind) for name in names for kind in ("A", "AAAA")]
    found: dict[str, list[str]] = {name: [] for name in names}
    for (name, _), values in zip(questions, await _each(questions, port), strict=True):
        found[name].extend(one.value for value in values if (one := _read(Kind.IP, value)))
    return {name: list(dict.fromkeys(values))[:MAX_ADDRESSES] for name, values in found.items()}


async def _each(questions: list[tuple[str, str]], port: int) -> list[list[str]]:
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers = ["127.0.0.1"]
    resolver.port = port
    resolver.lifetime = resolver.timeout = TIMEOUT_S
    return await asyncio.gather(*(_ask(resolver, name, kind) for name, kind in questions))


async def _ask(resolver: dns.asyncresolver.Resolver, name: str, kind: str) -> list[str]:
    try:
        async with asyncio.timeout(TIMEOUT_S):
            answer = await resolver.resolve(name + ".", kind, search=False)
    except (dns.exception.DNSException, OSError, TimeoutError, ValueError) as error:
        log.info("a name does not resolve (%s): %s", kind, type(error).__name__)
        return []
    return [record.to_text() for record in answer]


def _read(kind: Kind, text: str) -> Indicator | None:
    try:
        return normalise(kind, text.rstrip("."))
    except IndicatorInvalid:
        return None
