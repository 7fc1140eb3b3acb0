"""What is kept of a secret, or of a name that says too much: its digest."""

from __future__ import annotations

import hashlib


def sha256(text: str) -> str:
    """In hexadecimal. Input: hostile: half of a pair of surrogates, which UTF-8 does not have, counts as ``?``."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
