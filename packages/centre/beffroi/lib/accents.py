"""Texts without accents and capitals: how people look for words, and how lists are ordered."""

from __future__ import annotations

import unicodedata

_LIGATURES = str.maketrans({"œ": "oe", "æ": "ae"})


def bare(text: str) -> str:
    """Without accents, capitals and ligatures, and nothing else changed."""
    split = unicodedata.normalize("NFD", text.casefold())
    return "".join(one for one in split if not unicodedata.combining(one)).translate(_LIGATURES)
