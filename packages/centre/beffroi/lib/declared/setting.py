"""One setting: a field of a frozen dataclass with its default, what it means, its unit and its bounds.

The type of the default is the type of the value; ``lib.config`` checks what is read, ``lib.reference`` writes the page.
"""

from __future__ import annotations

from dataclasses import field
from typing import Any


def setting(
    default: Any, doc: str, *, unit: str = "", low: int | None = None, high: int | None = None
) -> Any:
    return field(default=default, metadata={"doc": doc, "unit": unit, "low": low, "high": high})


def days(default: int, doc: str, *, low: int, high: int = 3650) -> Any:
    return setting(default, doc, unit="days", low=low, high=high)


def port(default: int, doc: str) -> Any:
    return setting(default, doc, unit="TCP port", low=1, high=65535)


def per_source(default: int, doc: str) -> Any:
    """A source is an IPv4 address, or the /64 of an IPv6 address: everybody behind one router."""
    return setting(default, doc, unit="per source", low=1, high=1_000_000)


def per_account(default: int, doc: str) -> Any:
    return setting(default, f"{doc} 0: any number.", unit="per account", low=0, high=1_000_000)
