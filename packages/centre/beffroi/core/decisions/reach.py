"""Which collectivités have a door that tries a decision. A service that knows says so in its ``doors.py``, which is
loaded by who asks.

Fails: closed towards blocking; a door that nobody speaks for reaches nobody, and weak evidence stays observed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from beffroi_protocol.indicators import Kind
from django.utils.module_loading import autodiscover_modules

BOX, MAIL = "box", "mail"
_AT_BOXES = frozenset({Kind.IP, Kind.CIDR, Kind.DOMAIN})
_known: dict[str, Callable[[], set[str]]] = {}


@cache
def load_doors() -> None:
    """Every application's ``doors.py``: what its doors tell the decisions."""
    autodiscover_modules("doors")


def reaches[F: Callable[[], set[str]]](door: str) -> Callable[[F], F]:
    """Register ``f()``: the collectivités at which this door works now."""

    def register(function: F) -> F:
        _known[door] = function
        return function

    return register


def communes(door: str) -> list[str]:
    load_doors()
    known = _known.get(door)
    return sorted(known()) if known is not None else []


def door_of(kind: str) -> str:
    """Where a block of this kind meets people first."""
    return BOX if kind in _AT_BOXES else MAIL
