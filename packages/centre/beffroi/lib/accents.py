"""Texts without accents and capitals: how people look for words, and how lists are ordered."""

from __future__ import annotations

import unicodedata


def bare(text: str) -> str:
    """Without accents and capitals, and nothing else changed."""
    split = unicodedata.normalize("NFD", text.casefold())
    return "".join(one for one in split if not unicodedata.combining(one))
