"""What the process ``filescan`` tells of itself: STATE/drive/filescan.json.

Process: filescan writes; ``./beffroi status`` and the supervisor read. It holds no name and no hash.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from beffroi.lib import clock, json_file
from beffroi.lib.config import Config

LATE_S = 300.0
"""One content takes three minutes at the most, engines that hang included."""
AWAY_S = 60.0
"""An engine that starts again is no trouble yet."""


class Told(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``at_s``: when it was written. ``away``: the engine that does not answer, "" where all do; ``away_s``: since
    when. ``behind``: collectivités with contents that were not looked at."""

    at_s: int = 0
    away: str = ""
    away_s: int = 0
    behind: int = 0


def path(config: Config) -> Path:
    return config.state / "drive" / "filescan.json"


def write(config: Config, told: Told) -> None:
    """Errors: OSError."""
    json_file.write(path(config), told)


def read(config: Config) -> Told:
    """Empty where nothing was told, or it cannot be read."""
    return json_file.read(path(config), Told) or Told()


def late(config: Config) -> str:
    """For the supervisor: why the process is unwell; "" while it takes its turns."""
    silent_s = abs(clock.epoch_s() - read(config).at_s)
    return "" if silent_s < LATE_S else "It has taken no turn for some minutes."


def problem(config: Config) -> str:
    """For ``status``: one sentence with the next step; "" where files are looked at as they come."""
    told = read(config)
    if not told.away or abs(clock.epoch_s() - told.away_s) < AWAY_S:
        return ""
    where = (
        f"Look at {config.log / 'scan.log'}."
        if told.away == "scan"
        else "Look whether clamd runs (setting clamd)."
    )
    return (
        f"New files of the drive are not looked at: {told.away} does not answer. {told.behind} collectivités wait, and"
        f" what citizens hand in does not open; all is looked at later. {where}"
    )
