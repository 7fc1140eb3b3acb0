"""A mail that leaves for an address outside and comes back: what was sent last, and what came of it. No Django.

Purpose: what only fails on the way out, or only for strangers who write to us: our address on a list, DNS, port 25.
Process: sources. STATE/run/probe-echo.json holds a mark and a time; without it, nothing is said once.
Hostile: the other side, which may answer anything: looked at is whether our mark is in it, which only it has read.
Fails:   a code, as the other paths. It is off without the setting ``probe_echo``.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from beffroi.lib import json_file
from beffroi.lib.config import Config


class Sent(msgspec.Struct, frozen=True):
    """``at``: epoch seconds."""

    mark: str
    at: int


def configured(config: Config) -> bool:
    return bool(config.probe_echo and config.outgoing_mail)


def _path(config: Config) -> Path:
    return config.run / "probe-echo.json"


def last(config: Config) -> Sent | None:
    """What waits for its answer."""
    return json_file.read(_path(config), Sent)


def remember(config: Config, sent: Sent | None) -> None:
    """None: nothing is under way. Errors: OSError."""
    if sent is None:
        _path(config).unlink(missing_ok=True)
    else:
        json_file.write(_path(config), sent)
