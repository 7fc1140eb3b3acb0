"""Opaque identifiers that sort by time: ``PREFIX_`` + 26 characters (48 bits of milliseconds, 82 random).

They carry no meaning, so that a merged commune or a married name changes none of them.
"""

from __future__ import annotations

import re
import secrets

from beffroi.lib import clock

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_SHAPE = re.compile(r"[a-z]{2,5}_[0-9a-hjkmnp-tv-z]{26}", re.ASCII)


def new_id(prefix: str) -> str:
    """Return a new identifier such as ``col_06bt...``; prefixes: docs/internals/data.md."""
    number = (int(clock.epoch() * 1000) & ((1 << 48) - 1)) << 82 | secrets.randbits(82)
    digits = []
    for _ in range(26):
        digits.append(_ALPHABET[number & 31])
        number >>= 5
    return f"{prefix}_{''.join(reversed(digits))}"


def is_id(text: str, prefix: str) -> bool:
    return text.startswith(prefix + "_") and _SHAPE.fullmatch(text) is not None


def made_at_s(identifier: str) -> float:
    """When it was made, in epoch seconds to the millisecond. ``identifier``: one that ``is_id`` knows."""
    number = 0
    for digit in identifier.rpartition("_")[2]:
        number = number << 5 | _ALPHABET.index(digit)
    return (number >> 82) / 1000
