"""Layers: what the base channel and a collectivité's overlay say together.

Purpose: every door asks these, so that an exception means the same at each: it suppresses every refusal of what it
         covers, of the base channel and of the overlay, for whoever's channel carries it: a local one for that
         collectivité alone, "never again" for all. Pure: no I/O, no clock.
Rule:    an exception for a name covers its subdomains, one for a range covers what lies in it. It covers nothing above
         itself: an exception for a page opens no site, one for an address opens no range.
Source:  docs/internals/decisions.md, Local exceptions.
"""

from __future__ import annotations

from collections.abc import Sequence

from beffroi_protocol.indicators import Indicator, Kind, normalise
from beffroi_protocol.messages import Entry
from beffroi_protocol.table import DecisionTable, strictest

Layers = Sequence[DecisionTable]
"""The base channel and the overlays of one collectivité, in any order."""


def exception(indicator: Indicator, layers: Layers, *, now: int) -> Entry | None:
    """Return the exception that covers a canonical indicator, None where there is none."""
    return next((e for table in layers if (e := table.exception(indicator, now=now))), None)


def match(indicator: Indicator, layers: Layers, *, now: int) -> Entry | None:
    """Return the strictest entry that refuses exactly this canonical indicator."""
    found = strictest(table.match(indicator, now=now) for table in layers)
    return _unless_opened(found, indicator, layers, now)


def match_address(address: str, layers: Layers, *, now: int) -> Entry | None:
    """Return the strictest entry that covers this address. Errors: IndicatorInvalid."""
    found = strictest(table.match_address(address, now=now) for table in layers)
    return _unless_opened(found, normalise(Kind.IP, address), layers, now)


def match_name(name: str, layers: Layers, *, now: int) -> Entry | None:
    """Return the strictest entry for this name or one of its parents. Errors: IndicatorInvalid."""
    found = strictest(table.match_name(name, now=now) for table in layers)
    return _unless_opened(found, normalise(Kind.DOMAIN, name), layers, now)


def _unless_opened(found: Entry | None, indicator: Indicator, layers: Layers, now: int) -> Entry | None:
    """Nearly all that is asked is refused by nothing: only of the rest it is asked whether something opens it."""
    return None if found is None or exception(indicator, layers, now=now) is not None else found
