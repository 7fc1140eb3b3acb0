"""How often something may be tried. Counted in the shared cache, so that all processes of web count together.

Failures count per (account, network), never per account alone: else whoever knows an address could lock its owner out.
"""

from __future__ import annotations

import ipaddress

from django.core.cache import cache

from beffroi.lib import clock, hashed


def network_of(address: str) -> str:
    """The /24 or /64 of an address: one subscriber. Text that is no address counts as itself."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    return str(ipaddress.ip_network((parsed, 24 if parsed.version == 4 else 64), strict=False))


def take(subject: str, *parts: str, limit: int, window_s: int) -> str:
    """One of ``limit`` tries of the present window, before it is known how it ends; "" when none is left.

    However many come at once, no more than ``limit`` are taken: each is a key that is added once.
    """
    key = _key(subject, parts, window_s)
    slots = [f"{key}:{number}" for number in range(limit)]
    taken = cache.get_many(slots)
    return next((one for one in slots if one not in taken and cache.add(one, 1, timeout=window_s)), "")


def once(subject: str, part: str, *, within_s: int) -> bool:
    """False where the same came in the last ``within_s`` seconds."""
    return cache.add(f"once:{subject}:{hashed.sha256(part)[:32]}", 1, timeout=within_s)


def give_back(*slots: str) -> None:
    """A try that was no failure."""
    cache.delete_many([one for one in slots if one])


def _key(subject: str, parts: tuple[str, ...], window_s: int) -> str:
    window = clock.epoch_s() // window_s
    digest = hashed.sha256("\0".join(parts))[:32]
    return f"limit:{subject}:{window_s}:{window}:{digest}"
