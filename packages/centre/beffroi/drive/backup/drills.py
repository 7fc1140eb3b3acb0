"""Drills: each month all of a collectivité is read out of its newest backup, as a restore would, and the time is kept.

Purpose: a backup that nobody has read is a hope. What was found, and how long it took, is shown to the Département.
Process: drive-keeper, in a thread; one collectivité at a time, so that 700 are read within their month.
Rule:    nothing of the drive is changed, nothing read stays: the picture lies open in a draft while its small files
         are proved, the copies of the others are proved one by one.
Fails:   what could not be read is kept as the drill's result (``code``), and tried again a day later.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import msgspec

from beffroi.drive.backup import pictures, turns, work
from beffroi.drive.backup.places import open_place
from beffroi.drive.backup.vault import Vault
from beffroi.drive.store.commune import Communes
from beffroi.drive.store.keys import Keys, KeysMissing
from beffroi.drive.store.stock import Stock
from beffroi.drive.working import Worker
from beffroi.lib import clock, json_file
from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError

log = logging.getLogger("beffroi.drive.backup")
TICK_S = 600.0
EVERY_S = 30 * 86400
AGAIN_S = 86400


class Drill(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of one collectivité. ``at_s``: when it ended (epoch seconds); ``picture_s``: of when the backup is that was read.
    ``files`` with their versions, ``size_bytes``: of the pieces that were proved; ``lost``: pieces that a content
    needs and the backup has not whole; ``code``: of the error that broke it off, "" for none."""

    at_s: int
    took_s: int = 0
    picture_s: int = 0
    files: int = 0
    size_bytes: int = 0
    lost: int = 0
    code: str = ""

    @property
    def is_well(self) -> bool:
        return not self.lost and not self.code


def path(config: Config) -> Path:
    return config.state / "drive" / "drills.json"


def read(config: Config) -> Mapping[str, Drill]:
    """By collectivité."""
    return json_file.read(path(config), dict[str, Drill]) or {}


def problem(config: Config) -> str:
    """For ``status``: one sentence with the next step, or ""."""
    ill = sorted(name for name, one in read(config).items() if not one.is_well)
    if not ill:
        return ""
    return (
        f"Not all files of {len(ill)} collectivités could be read out of their backup ({ill[0]}): the console says"
        " what lacks (Courrier, Sauvegarde). Next: ./beffroi check backup (docs/runbooks/restore-drive.md)"
    )


class Drills(Worker):
    def __init__(self, config: Config, communes: Communes) -> None:
        """Errors: SettingInvalid, StoreUnavailable."""
        super().__init__("drive-drill")
        self._config, self._communes = config, communes
        self._place = open_place(config)

    def _run(self) -> None:
        while not self._stopped.wait(TICK_S):
            self.guarded(lambda: self.turn(now_s=clock.paced_s()))

    def turn(self, *, now_s: int) -> str:
        """Read one collectivité, if any is due; return which, or ""."""
        there = self._communes.ids()
        before = read(self._config)
        known = {one: found for one, found in before.items() if one in there}
        if known != before:  # who was erased
            self._keep(known)
        due = sorted(
            (known[one].at_s if one in known else 0, one) for one in there if _is_due(known, one, now_s)
        )
        for _, collectivite_id in due:
            found = self.drill(collectivite_id)
            if found is None:
                continue  # nothing of it is backed up yet: the backup says so where it is late
            self._keep({**known, collectivite_id: found})
            return collectivite_id
        return ""

    def drill(self, collectivite_id: str) -> Drill | None:
        """None where there is no backup, or the process ends before all is read."""
        began_s = clock.steady_s()
        try:
            keys = Keys(self._config, collectivite_id)
            found = Vault(self._place, keys)
            made = found.pictures()
            if not made:
                return None
            picture = work.chosen(made)
            proof = _Proof(Stock(collectivite_id, keys, self._place.objects))
            with turns.draft(self._config, collectivite_id) as draft:
                metadata = draft / "metadata"
                found.open_kept(picture.metadata, metadata)
                pictures.bring_forward(metadata)
                if (archive := picture.calendars) is not None:
                    found.open_kept(archive, draft / "calendars")
                files = _files(metadata)
                for chunk, length, sealed in _inline(metadata):
                    proof.add(chunk, length, sealed)
                apart = [one[:2] for one in pictures.chunks_in_objects(metadata) if one[2]]
            for chunk, length in apart:
                if self._stopped.is_set():
                    return None
                proof.add(chunk, length, found.fetch(chunk))
        except KeysMissing:
            return None  # calendars alone: nothing is sealed yet
        except BeffroiError as error:
            log.error("%s: the drill broke off: %s: %s", collectivite_id, error.code, error)
            return Drill(clock.epoch_s(), code=error.code)
        except (sqlite3.Error, OSError, ValueError, TypeError) as error:
            # Of a picture, or a disk, that is not as it should be: else it would be the first one for ever.
            log.exception("%s: the drill broke off", collectivite_id)
            return Drill(clock.epoch_s(), code=f"drive.drill_{type(error).__name__.lower()}")
        if proof.lost:
            log.error("%s: the backup lacks %d pieces of files", collectivite_id, proof.lost)
        took_s = round(clock.steady_s() - began_s)
        return Drill(clock.epoch_s(), took_s, picture.at_s, files, proof.size_bytes, proof.lost)

    def _keep(self, drills: Mapping[str, Drill]) -> None:
        try:
            json_file.write(path(self._config), drills)
        except OSError as error:  # a full disk: it is read again next time
            log.error("the result of a drill is not written: %s", error.strerror)


class _Proof:
    def __init__(self, stock: Stock) -> None:
        self._stock, self.size_bytes, self.lost = stock, 0, 0

    def add(self, chunk: bytes, length: int, sealed: bytes | None) -> None:
        if sealed is not None and self._stock.judge(chunk, length, sealed) == "sound":
            self.size_bytes += length
        else:
            self.lost += 1


def _is_due(known: Mapping[str, Drill], collectivite_id: str, now_s: int) -> bool:
    """Also where the clock was ahead when it was read."""
    last = known.get(collectivite_id)
    return last is None or not 0 <= now_s - last.at_s < (EVERY_S if last.is_well else AGAIN_S)


def _files(metadata: Path) -> int:
    with closing(sqlite3.connect(metadata)) as raw:
        found = raw.execute(
            "SELECT (SELECT COUNT(*) FROM node WHERE is_folder = 0) + (SELECT COUNT(*) FROM version)"
        ).fetchone()
    return int(found[0])


def _inline(metadata: Path) -> Iterator[tuple[bytes, int, bytes]]:
    """(name, length, sealed) of what the picture itself holds and a content needs."""
    with closing(sqlite3.connect(metadata)) as raw:
        for row in raw.execute("SELECT id, length, sealed FROM chunk WHERE sealed IS NOT NULL AND refs > 0"):
            yield bytes(row[0]), row[1], bytes(row[2])
