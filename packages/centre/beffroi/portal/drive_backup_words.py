"""Backups of the Coffre in words, for the console: how old they are, where they lie, what is wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from beffroi.drive.backup import work
from beffroi.drive.backup.places import open_place
from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError


def backup(config: Config, *, now_s: int) -> dict[str, Any]:
    """What ``console/parts/drive_backup.html`` shows."""
    told = work.read_state(config)
    try:
        place = str(open_place(config))
    except BeffroiError:  # a setting that says nothing: ``problem`` is said by status
        place = ""
    return {
        "told": told,
        "at": datetime.fromtimestamp(told.done_s, UTC) if told.done_s else None,
        "place": place,
        "shares_disk": bool(work.advice(config)),
        "problem": work.problem(config, now_s=now_s),
    }
