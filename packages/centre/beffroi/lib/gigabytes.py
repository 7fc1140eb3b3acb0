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
_GROUPED = re.compile(r"[1-9][0-9]{0,2}[.,][0-9]{3}")
"""As thousands are parted: 1,000."""


class Ambiguous(Invalid):
    """{} can be read in two ways: write {} or {}."""

    code = "input.ambiguous"

    def __init__(self, typed: str, whole: str, part: str) -> None:
        """``whole``, ``part``: what it may have meant, each in a way that nobody reads otherwise."""
        super().__init__(typed, whole, part)
        self.typed, self.whole, self.part = typed, whole, part


def read(text: str, *, mark: str = ".") -> int | None:
    """Bytes; None where nothing was typed. A comma or a point parts the decimals, spaces may part the thousands.

    ``mark``: the one that parts decimals in the language that is spoken, of commands the point; the other one may part
    thousands.
    Errors: Invalid, Ambiguous.
    """
    plain = "".join(text.split())
    if not plain:
        return None
    if _GROUPED.fullmatch(plain) and mark not in plain:
        part = f"{_number(plain).normalize():f}".replace(".", mark)
        raise Ambiguous(plain, plain.replace(".", "").replace(",", ""), part)
    return checked(int(_number(plain) * GB) if _SHAPE.fullmatch(plain) else 0)


def _number(plain: str) -> Decimal:
    return Decimal(plain.replace(",", "."))


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
