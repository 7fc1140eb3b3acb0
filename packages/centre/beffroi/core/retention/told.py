"""How the purge goes, as a file that needs no database: STATE/run/retention.json. No Django.

Purpose: `./beffroi status` and the console say when the purge fails or has not run, and what to do next.
Process: written by worker when something changes; read by anyone. It holds times and codes only.
Input:   whoever reads it trusts nothing: a file that cannot be read says nothing, and a late one says late.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from beffroi.lib import json_file
from beffroi.lib.config import Config

LATE_AFTER_S = 36 * 3600


class Told(msgspec.Struct, frozen=True):
    """``done_at``: the end of the last run that ended well; before the first, when worker first looked. Epoch seconds.
    ``refused``: why the last run was refused, or "". ``failed``: the kind of the error of the last try, or ""."""

    done_at: int
    refused: str = ""
    failed: str = ""


def _path(config: Config) -> Path:
    return config.run / "retention.json"


def read(config: Config) -> Told | None:
    return json_file.read(_path(config), Told)


def write(config: Config, told: Told) -> None:
    """Only where it says something new. Errors: OSError."""
    if read(config) != told:
        json_file.write(_path(config), told, mode=0o644)


def problem(config: Config, *, now: int) -> str:
    """One sentence with the next step, or ""; ``now`` in epoch seconds."""
    told = read(config)
    if told is None:
        return ""
    if told.refused:
        return (
            "The daily purge is stopped: the clock of this machine is in doubt, and nothing is deleted."
            " Next: ./beffroi retention show"
        )
    hours = max(0, now - told.done_at) // 3600
    if told.failed:
        return (
            f"The daily purge fails ({told.failed[:60]}); the last one ended {hours} hours ago."
            f" Next: read {config.log / 'worker.log'}, then ./beffroi retention run"
        )
    if now - told.done_at <= LATE_AFTER_S:
        return ""
    return (
        f"The daily purge has not ended for {hours} hours. Next: see that worker is healthy, read"
        f" {config.log / 'worker.log'}, then ./beffroi retention run"
    )
