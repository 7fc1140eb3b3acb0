"""Whether the audit log holds, as a file that needs no database: STATE/run/audit.json. No Django.

Purpose: a line that was changed or taken out before the last checkpoint is found by who reads all of it alone:
         `./beffroi status` and the console say what a reading found, and when nobody read.
Process: written by `./beffroi audit verify --full`, which worker starts once a week; read by anyone.
Input:   whoever reads it trusts nothing: a file that cannot be read says nothing, and a late one says late.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec

from beffroi.lib import json_file
from beffroi.lib.config import Config

EVERY_S = 7 * 86400
LATE_AFTER_S = 10 * 86400


class Told(msgspec.Struct, frozen=True):
    """``read_at``: when all of it was read, before the first time when worker first looked, as
    where a clock dated it that ran ahead; epoch seconds.
    ``first_bad``: position of the first entry that does not fit, 0 for none. ``count``: entries that were read."""

    read_at: int
    first_bad: int = 0
    count: int = 0

    @property
    def at(self) -> datetime | None:
        """When all of it was read; None before the first time."""
        return datetime.fromtimestamp(self.read_at, UTC) if self.count else None


def _path(config: Config) -> Path:
    return config.run / "audit.json"


def read(config: Config) -> Told | None:
    return json_file.read(_path(config), Told)


def write(config: Config, told: Told) -> None:
    """Errors: OSError."""
    json_file.write(_path(config), told, mode=0o644)


def late_days(config: Config, *, now: int) -> int:
    """For how many days nobody has read all of it; 0 where that is no longer than it may be."""
    told = read(config)
    return (now - told.read_at) // 86400 if told is not None and now - told.read_at > LATE_AFTER_S else 0


def problem(config: Config, *, now: int) -> str:
    """One sentence with the next step, or ""; ``now`` in epoch seconds."""
    told = read(config)
    if told is not None and told.first_bad:
        return (
            f"The audit log does not hold at entry {told.first_bad}: it was changed, cut or added to outside of"
            " Beffroi. Next: change nothing, and read docs/runbooks/audit-log.md"
        )
    if days := late_days(config, now=now):
        return f"All of the audit log was not read for {days} days. Next: ./beffroi audit verify --full"
    return ""
