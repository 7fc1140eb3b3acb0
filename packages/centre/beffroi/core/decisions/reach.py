"""Which collectivités have a door that tries a decision. The services that know say so here when they load.

Fails: closed towards blocking; a door that nobody speaks for reaches nobody, and weak evidence stays observed.
"""

from __future__ import annotations

from collections.abc import Callable

from beffroi_protocol.indicators import Kind

BOX, MAIL = "box", "mail"
_AT_BOXES = frozenset({Kind.IP, Kind.CIDR, Kind.DOMAIN})
_known: dict[str, Callable[[], set[str]]] = {}


def reaches[F: Callable[[], set[str]]](door: str) -> Callable[[F], F]:
    """Register ``f()``: the collectivités at which this door works now."""

    def register(function: F) -> F:
        _known[door] = function
        return function

    return register


def communes(door: str) -> list[str]:
    known = _known.get(door)
    return sorted(known()) if known is not None else []


def door_of(kind: str) -> str:
    """Where a block of this kind meets people first."""
    return BOX if kind in _AT_BOXES else MAIL
