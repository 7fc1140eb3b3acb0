"""Secrets that a person reads off paper and types: on a printed sheet, and from a référent's hand."""

from __future__ import annotations

import re
import secrets

ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"  # no letter that looks like a digit
"""Five random bits a sign."""


def made(length: int) -> str:
    """A new code without spaces."""
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def plain(text: str) -> str:
    """What was typed, without the spaces and hyphens that group it."""
    return re.sub(r"[\s-]", "", text).lower()[:64]
