"""Room as people type and read it: in GB (10**9 bytes), whole or to the thousandth. Pure; input: hostile."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal

from beffroi.lib.errors import Invalid

GB = 10**9
MOST_GB = 1_000_000
DIGITS = 3
_SHAPE = re.compile(r"[0-9]{1,7}(?:[.,][0-9]{1,3})?")


def read(text: str) -> int | None:
    """Bytes; None where nothing was typed. A comma or a point parts the decimals, spaces may part the thousands.

    Errors: Invalid.
    """
    plain = "".join(text.split())
    if not plain:
        return None
    size_bytes = int(Decimal(plain.replace(",", ".")) * GB) if _SHAPE.fullmatch(plain) else 0
    return checked(size_bytes)


def checked(size_bytes: int) -> int:
    """Errors: Invalid."""
    if not 0 < size_bytes <= MOST_GB * GB:
        raise Invalid("limit")
    return size_bytes


def written(size_bytes: int, kept: Callable[[int], int] = int) -> Decimal:
    """GB with as few decimals as ``read`` and ``kept`` need to make the same of it again.

    ``kept``: what is kept of a number of bytes, where that is coarser.
    """
    for digits in range(DIGITS + 1):
        units = size_bytes * 10**digits // GB
        if kept(units * GB // 10**digits) == kept(size_bytes):
            break
    return Decimal(units).scaleb(-digits)
