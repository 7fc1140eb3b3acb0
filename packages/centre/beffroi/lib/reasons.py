"""Why somebody asks for something or refuses it, in their own words. Pure."""

from __future__ import annotations

from beffroi.lib.errors import Invalid

MOST_CHARS = 500


def checked(text: str, *, most_chars: int = MOST_CHARS) -> str:
    """On one line. Errors: Invalid (nothing, too much, or a NUL, which PostgreSQL does not keep)."""
    said = " ".join(text.split())
    if not said or len(said) > most_chars or "\x00" in said:
        raise Invalid("reason")
    return said
