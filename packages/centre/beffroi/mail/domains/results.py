"""One result of the check of a domain."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Result:
    """``item``: stable name; ``state``: ok, warn, bad, unknown, or none (not chosen, no fault); ``code``: why;
    ``seen``, ``wanted``: texts."""

    item: str
    state: str
    code: str
    seen: str = ""
    wanted: str = ""
