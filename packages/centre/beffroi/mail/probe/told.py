"""How the probe's last mails went, as a file that needs no database: STATE/run/probe.json. No Django.

Purpose: `./beffroi status` says that mail does not pass, and what to do next.
Process: written by sources after each run; read by anyone. It holds times and codes only.
Input:   whoever reads it trusts nothing: a file that cannot be read says nothing, and a late one says late.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from beffroi.lib import json_file
from beffroi.lib.config import Config

LATE_AFTER_S = 3600


class Way(msgspec.Struct, frozen=True):
    """``failures``: in a row, up to now; ``code``: of the last, "" when it arrived."""

    path: str
    code: str
    duration_ms: int
    failures: int


class Told(msgspec.Struct, frozen=True):
    """``at``: epoch seconds of the last run."""

    at: int
    ways: tuple[Way, ...]


def _path(config: Config) -> Path:
    return config.run / "probe.json"


def read(config: Config) -> Told | None:
    return json_file.read(_path(config), Told)


def write(config: Config, told: Told) -> None:
    """Errors: OSError."""
    json_file.write(_path(config), told, mode=0o644)


def problem(config: Config, *, now: int, alarm_after: int) -> str:
    """One sentence with the next step, or ""; ``now`` in epoch seconds."""
    told = read(config)
    if told is None:
        return ""
    bad = [f"{one.path} ({one.code})"[:60] for one in told.ways if one.failures >= alarm_after]
    if bad:
        return (
            f"The centre's own test mail does not arrive: {', '.join(bad)}."
            f" Next: read {config.log / 'postfix.log'} and the page Courrier de contrôle of the console"
        )
    if now - told.at > LATE_AFTER_S:
        return (
            f"The centre has sent itself no test mail for {(now - told.at) // 60} minutes."
            f" Next: see that sources is healthy, read {config.log / 'sources.log'}"
        )
    return ""
