"""What the consumers did not take in, as a file that needs no database: STATE/run/events.json. No Django.

Purpose: `./beffroi status` and the console say which part of the centre does not hear what happens, and what to do.
Process: written by worker each minute; read by anyone. It holds names of consumers, codes and counts only.
Input:   whoever reads it trusts nothing: a file that cannot be read says nothing, and a late one says late.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec

from beffroi.lib import json_file
from beffroi.lib.config import Config

EVERY_S = 60
LATE_S = 900
"""Worker may have had much else to do; nobody looked for longer where it hangs."""
NAMED = 3


class Waiting(msgspec.Struct, frozen=True):
    """Of one consumer. ``group``: of processes, as the log is named. ``events``: how many, at most ``MOST``.
    ``since_s``: of the first of them, epoch seconds. ``error``: the last one, "" where none was."""

    consumer: str
    group: str
    events: int
    since_s: int
    error: str = ""

    @property
    def since(self) -> datetime:
        return datetime.fromtimestamp(self.since_s, UTC)


class Told(msgspec.Struct, frozen=True):
    """``behind``: taken in for too long not. ``parked``: given up after many attempts, kept for a person."""

    looked_at: int
    behind: tuple[Waiting, ...] = ()
    parked: tuple[Waiting, ...] = ()


def _path(config: Config) -> Path:
    return config.run / "events.json"


def read(config: Config) -> Told | None:
    return json_file.read(_path(config), Told)


def write(config: Config, told: Told) -> None:
    """Errors: OSError."""
    json_file.write(_path(config), told, mode=0o644)


def late_minutes(config: Config, *, now: int) -> int:
    """For how many minutes nobody has looked; 0 where that is no longer than it may be."""
    told = read(config)
    return (now - told.looked_at) // 60 if told is not None and now - told.looked_at > LATE_S else 0


def problem(config: Config, *, now: int) -> str:
    """Sentences with the next step, or ""; ``now`` in epoch seconds."""
    told = read(config)
    if told is None:
        return ""
    if minutes := late_minutes(config, now=now):
        return (
            f"The process worker has not looked for {minutes} minutes whether something waits: it hangs."
            f" Next: read {config.log / 'worker.log'}, then ./beffroi stop and ./beffroi up"
        )
    said = []
    if told.behind:
        first = min(told.behind, key=lambda one: one.since_s)
        said.append(
            f"What happened since {first.since:%Y-%m-%d %H:%M} UTC is not taken in yet: {_named(told.behind)}."
            f" Next: ./beffroi status; is the machine busy, or does log/{_log(first)} say what it waits for?"
        )
    if told.parked:
        said.append(
            f"Given up after many attempts, and kept: {_named(told.parked)}. Next: ./beffroi events show"
        )
    return " ".join(said)


def _named(found: tuple[Waiting, ...]) -> str:
    said = [f"{one.consumer} ({one.events}{', ' + one.error if one.error else ''})" for one in found[:NAMED]]
    more = [f"{len(found) - NAMED} more"] if len(found) > NAMED else []
    return ", ".join(said + more)


def _log(one: Waiting) -> str:
    return f"{'worker' if one.group == 'main' else one.group}.log"
