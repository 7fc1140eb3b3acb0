"""What the sealed folders of all collectivités come to, in numbers: for ``status`` and the console.

Purpose: neither opens the metadata of every collectivité to show a line of each.
Process: written by drive-keeper; read by web, console and by ``status`` as root. STATE/drive/seals.json, 0600.
Rule:    numbers alone: no name of a folder or file.
Fails:   without the file, or with one that cannot be read, nothing is said.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from pathlib import Path

import msgspec

from beffroi.drive.store import seal_alarms, seal_checks
from beffroi.drive.store.seals import Stamp
from beffroi.drive.store.writing import Reading
from beffroi.lib import json_file
from beffroi.lib.config import Config

log = logging.getLogger("beffroi.drive.seals")
SOON_S, LATE_S = 90 * 86400, 86400


class Sums(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of one collectivité, its seals that stand. ``ending``: whose term ends within SOON_S; ``over``: whose has ended.
    ``checked_s``: the last verification, ``oldest_s``: of all seals' last ones the oldest; 0 for none. ``unchecked``:
    seals that none was made of. ``damaged``: open alarms, ``since_s``: of the oldest. ``held_up``: verifications that
    wait or run and cannot end, since the setting ``drive_time_roots`` is wrong. ``unstamped``: seals without the time
    stamp that is asked for since LATE_S."""

    folders: int = 0
    files: int = 0
    size_bytes: int = 0
    ending: int = 0
    over: int = 0
    checked_s: int = 0
    oldest_s: int = 0
    unchecked: int = 0
    damaged: int = 0
    since_s: int = 0
    held_up: int = 0
    unstamped: int = 0


def path(config: Config) -> Path:
    return config.state / "drive" / "seals.json"


def read(config: Config) -> Mapping[str, Sums]:
    """By collectivité; those without a seal are not in it."""
    return json_file.read(path(config), dict[str, Sums]) or {}


def problem(config: Config) -> str:
    """For ``status``: what is wrong, with the next step; "" when all is well, or who asks may not read it."""
    known = read(config).values()
    said = (_damage(known), _delay(known), _lateness(known))
    return " ".join(one for one in said if one)


def _delay(known: Collection[Sums]) -> str:
    held_up = sum(one.held_up for one in known)
    if not held_up:
        return ""
    return (
        f"{held_up} verifications of sealed folders cannot end: the file that the setting drive_time_roots names "
        "cannot be read as certificates (PEM). Mend it, or the setting; the verifications then end by themselves."
    )


def _lateness(known: Collection[Sums]) -> str:
    unstamped = sum(one.unstamped for one in known)
    if not unstamped:
        return ""
    return (
        f"{unstamped} sealed folders have waited for more than a day for their time stamp, which is asked for every "
        "15 minutes: see the log of drive-keeper (no time stamp yet) for why, and the settings drive_time_authority "
        "and drive_time_roots. The seals hold meanwhile by the centre's own signature."
    )


def _damage(known: Collection[Sums]) -> str:
    broken = [one for one in known if one.damaged]
    if not broken:
        return ""
    return (
        f"{sum(one.damaged for one in broken)} sealed folders of {len(broken)} collectivités are not what was sealed: "
        "the console says whose (Coffre, Scellements). Bring STATE/drive/objects back from a backup, then verify again."
    )


def is_late(stamp: Stamp, told_s: int, *, now_s: int) -> bool:
    """Whether a seal that was told at ``told_s`` (UTC epoch seconds) should have its time stamp by now."""
    return stamp == "wanted" and 0 < told_s <= now_s - LATE_S


def sums(reading: Reading, *, now_s: int, is_held_up: bool = False, is_stamping: bool = False) -> Sums:
    """One look at the seals that stand. ``is_held_up``: whether no verification can end now; ``is_stamping``: whether
    an authority is asked for time stamps."""
    rows = reading.all(
        "SELECT s.files, s.size_bytes, s.until_s, COALESCE(MAX(c.done_s), 0), s.stamp, s.told_s FROM seal s"
        " LEFT JOIN seal_check c ON c.seal = s.id WHERE s.state IN ('sealing', 'sealed')"
        " GROUP BY s.id, s.files, s.size_bytes, s.until_s, s.stamp, s.told_s"
    )
    alarms = seal_alarms.open_(reading)
    ends = [row[2] for row in rows if row[2]]
    checked = [row[3] for row in rows if row[3]]
    return Sums(
        folders=len(rows),
        files=sum(row[0] for row in rows),
        size_bytes=sum(row[1] for row in rows),
        ending=sum(now_s < end <= now_s + SOON_S for end in ends),
        over=sum(end <= now_s for end in ends),
        checked_s=max(checked, default=0),
        oldest_s=min(checked, default=0),
        unchecked=len(rows) - len(checked),
        damaged=len(alarms),
        since_s=alarms[0].since_s if alarms else 0,
        held_up=sum(not one.done_s for one in seal_checks.unfinished(reading)) if is_held_up else 0,
        unstamped=sum(is_late(row[4], row[5], now_s=now_s) for row in rows) if is_stamping else 0,
    )


class Overview:
    """Its one writer. Where it cannot be written the numbers stay those of before, until it can."""

    def __init__(self, config: Config) -> None:
        self._path = path(config)
        self._known = dict(read(config))
        self._is_written = True

    def put(self, collectivite_id: str, now: Sums) -> None:
        before = self._known.get(collectivite_id, Sums())
        if now == before and self._is_written:
            return
        self._known[collectivite_id] = now
        self._write()

    def keep(self, collectivites: Collection[str]) -> None:
        """The others have no drive any more."""
        gone = self._known.keys() - set(collectivites)
        for one in gone:
            del self._known[one]
        if gone:
            self._write()

    def _write(self) -> None:
        shown = {name: one for name, one in sorted(self._known.items()) if one != Sums()}
        try:
            json_file.write(self._path, shown)
            self._is_written = True
        except OSError as error:
            self._is_written = False
            log.error("the numbers of sealed folders are not written: %s", error.strerror)
