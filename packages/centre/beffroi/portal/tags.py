"""A state on a page: what it is called, in which tone, with which drawing (template tag ``tag``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def tag[Name: str](pairs: Mapping[Name, tuple[Any, str, str]], name: Name) -> dict[str, str]:
    """One that ``pairs`` do not know is called as it is."""
    label, tone, drawing = pairs.get(name, (name, "quiet", "circle-dot"))
    return {"label": str(label), "tone": tone, "drawing": drawing}
