"""What a process keeps or tells in a file of JSON.

Input:   hostile or damaged, whoever wrote it: a file that is not there, or is no such thing, says nothing.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
from beffroi_protocol.errors import UNDECODABLE

from beffroi.lib import durable


def read[T](path: Path, kind: type[T]) -> T | None:
    """None where there is none, or none that can be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, *UNDECODABLE):
        return None


def write(path: Path, value: object, *, mode: int = 0o600) -> None:
    """Whole or not at all. Errors: OSError."""
    durable.write(path, (msgspec.json.encode(value),), mode=mode)
