"""What ``beffroi-box network`` found, as it wrote it down: STATE/network.json.

Process: written by ``network``; read by every other process of the box.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
from beffroi_protocol.errors import UNDECODABLE

from beffroi_box.modes import Plan


class Found(msgspec.Struct):
    """What is in force, for the page and for a person. ``trouble``: a code, "" when all is well."""

    plan: Plan | None = None
    proved: bool = False
    proved_at: int = 0
    trouble: str = ""
    last_proved: Plan | None = None


def read(state: Path) -> Found:
    """What is damaged counts as absent."""
    try:
        return msgspec.json.decode((state / "network.json").read_bytes(), type=Found)
    except (OSError, *UNDECODABLE):
        return Found()
