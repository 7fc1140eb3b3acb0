"""The providers that refuse whoever is too fast: the setting ``slow_destinations``. Pure.

Fails:   closed (SettingInvalid).
Source:  docs/decisions/0032-sending.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from beffroi.lib.config import Config, SettingInvalid

_NAME = re.compile(r"[a-z][a-z0-9]{0,15}")
_DOMAIN = re.compile(r"(?=.{1,253}$)[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})+")
_MOST = 50
_LONGEST_DELAY_S = 3600


@dataclass(frozen=True)
class Slow:
    """One provider. ``connections``: at once to all its domains; ``delay_s``: between two mails to one domain, which
    then has one connection; ``recipients``: of one mail."""

    name: str
    connections: int
    delay_s: int
    recipients: int
    domains: tuple[str, ...]


def slow(config: Config) -> list[Slow]:
    """The setting ``slow_destinations``. Errors: SettingInvalid."""
    found: list[Slow] = []
    taken: set[str] = set()
    for text in filter(None, (part.strip() for part in config.slow_destinations.split(";"))):
        one = _slow(config, text)
        twice = taken & {one.name, *one.domains}
        if twice:
            raise SettingInvalid("slow_destinations", config.state, f"{min(twice)} is named twice")
        taken |= {one.name, *one.domains}
        found.append(one)
    return found


def _slow(config: Config, text: str) -> Slow:
    name, *words = text.split()
    numbers, domains = words[:3], tuple(word.lower() for word in words[3:])
    limits = ((1, _MOST), (0, _LONGEST_DELAY_S), (1, _MOST))
    good = (
        _NAME.fullmatch(name)
        and len(numbers) == len(limits)
        and all(
            n.isascii() and n.isdigit() and low <= int(n) <= high
            for n, (low, high) in zip(numbers, limits, strict=True)
        )
        and domains
        and all(_DOMAIN.fullmatch(domain) for domain in domains)
    )
    if not good:
        why = f"{text!r} is not 'NAME CONNECTIONS(1-50) DELAY_S(0-3600) RECIPIENTS(1-50) DOMAIN...'"
        raise SettingInvalid("slow_destinations", config.state, why)
    connections, delay_s, recipients = (int(number) for number in numbers)
    return Slow(name, connections, delay_s, recipients, domains)
