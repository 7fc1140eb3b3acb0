"""What its owner marked as private stays out of a restore that somebody else asked for. Pure.

A whole word is enough, in the name of a folder or a subject: *Réunion du personnel* stays out as well, which its
owner's own request mends; a private mail that came back at somebody else's wish, nothing would.
"""

from __future__ import annotations

import re
import unicodedata

_MARK = re.compile(r"\b(prive|privee|prives|privees|personnel|personnelle|personnels|personnelles|perso)\b")


def private(folder: str, subject: str) -> bool:
    """Whether folder or subject say so, in capitals or not, with or without accents."""
    return bool(_MARK.search(_plain(folder)) or _MARK.search(_plain(subject)))


def _plain(text: str) -> str:
    parts = unicodedata.normalize("NFKD", text.replace("_", " ").casefold())
    return "".join(one for one in parts if not unicodedata.combining(one))
