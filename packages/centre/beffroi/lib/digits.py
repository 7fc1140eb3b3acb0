"""Whole numbers as addresses, forms, headers and files write them. Pure; input: hostile.

``str.isdigit`` alone takes signs that ``int`` refuses (``²``) or that are digits of other scripts; ``int`` alone takes
a sign, white space and ``_``, and raises for thousands of digits.
"""

from __future__ import annotations

from beffroi.lib.errors import Invalid

MOST = 18
"""So many always fit into a column of 64 bits."""


def number(text: str, most: int = MOST) -> int | None:
    """What ``text`` writes in 1 to ``most`` digits; None where it is anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= most else None


def needed(text: str, what: str = "number", most: int = MOST) -> int:
    """The same of a field without which nothing can be done. Errors: Invalid (``what``)."""
    found = number(text, most)
    if found is None:
        raise Invalid(what)
    return found
