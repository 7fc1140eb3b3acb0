"""Pages of ours, as tests read them."""

from __future__ import annotations

import re


def flat(page: str) -> str:
    """Without the ends of lines and the indentation of its template, which no browser shows."""
    joined = re.sub(r"(?<=>)\s*\n\s*|\s*\n\s*(?=<|$)", "", page)
    return re.sub(r"\s*\n\s*", " ", joined)
