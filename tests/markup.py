"""Pages of ours, as tests read them."""

from __future__ import annotations

import html
import re
from typing import Any


def flat(page: str) -> str:
    """Without the ends of lines and the indentation of its template, which no browser shows."""
    joined = re.sub(r"(?<=>)\s*\n\s*|\s*\n\s*(?=<|$)", "", page)
    return re.sub(r"\s*\n\s*", " ", joined)


def text_of(answer: Any) -> str:
    """Of a page, as its reader's eye has it: lines as a browser joins them, no entities, plain spaces."""
    return html.unescape(flat(answer.content.decode())).replace("\u00a0", " ").replace("\u202f", " ")
