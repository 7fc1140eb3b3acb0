"""Heads of the audit log that backups of the database noted, as a file that needs no database: STATE/audit-heads.json.

Purpose: who may write the database, its server's administrator too, and had ``audit.key`` could write another history;
         the chain would hold. It does not pass through these heads.
Process: written by backup, as root, in a directory where nobody else writes; read by whoever verifies the log. Each is
         said of the snapshot, too, in a repository that may lie on another machine.
Limits:  root of this machine can change all of it; so can who lies to each backup from the beginning.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from beffroi.lib import durable, json_file
from beffroi.lib.config import Config

MAX_KEPT = 400
"""Three months of backups each six hours. The newest one fixes all before it; older ones tell when it was changed."""


class Head(msgspec.Struct, frozen=True):
    """``at_s``: epoch seconds; ``position`` and ``hash``: of the last sealed entry then."""

    at_s: int
    position: int
    hash: str


def path(config: Config) -> Path:
    return config.state / "audit-heads.json"


def read(config: Config) -> list[Head]:
    """Oldest first."""
    return json_file.read(path(config), list[Head]) or []


def note(config: Config, head: Head) -> None:
    """Errors: OSError."""
    kept = read(config)
    if head.position and (not kept or kept[-1].hash != head.hash):
        text = msgspec.json.encode([*kept, head][-MAX_KEPT:])
        durable.write(path(config), (text,), mode=0o644)


def forget(config: Config) -> None:
    """Another database is in the place of the one that they are of. Errors: OSError."""
    path(config).unlink(missing_ok=True)
