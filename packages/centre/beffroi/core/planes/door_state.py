"""What a door of the datacenter holds of the feed, on disk: a file a channel, whose checksum shows a torn one.

Process: as ``follower``, in its thread, which alone changes tables: no lock, so that no answer waits for the disk.
Fails:   open: a list in memory is enforced whatever the disk says; a damaged file costs one snapshot.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path

from beffroi_protocol.errors import ProtocolError
from beffroi_protocol.session import FeedSession
from beffroi_protocol.table import EVERY, DecisionTable

log = logging.getLogger("beffroi.follower")

LONG_SAVE_S = 0.05


class DoorState:
    def __init__(self, directory: Path, session: FeedSession, *, door: str) -> None:
        self._directory = directory
        self._session = session
        self._door = door
        self._unsaved: set[str] = set()
        self._save_at_s = 0.0

    def load(self, channels: Sequence[str]) -> None:
        """Before the feed is followed: tables and trusted time of the last run, overlays over ``every`` too."""
        for channel in (*channels, *self._saved_overlays()):
            if channel in self._session.every:
                continue
            try:
                table = DecisionTable.load(self._path(channel).read_bytes())
            except FileNotFoundError:
                continue
            except (OSError, ProtocolError) as error:
                log.warning("door %s: saved state of %s not used: %s", self._door, channel, error)
                continue
            if table.channel == channel:
                self._session.tables[channel] = table
                self._session.clock.floor = max(self._session.clock.floor, table.issued_at)

    def changed(self, channel: str) -> None:
        self._unsaved.add(channel)

    def forget(self, channel: str) -> None:
        self._unsaved.discard(channel)
        try:
            self._path(channel).unlink(missing_ok=True)
        except OSError as error:
            log.warning("door %s: state of %s not removed: %s", self._door, channel, error.strerror)

    def save_due(self, *, at_once: bool = False) -> None:
        """Write what changed. A state of megabytes is written a tenth of the time at most; the rest is in memory until
        the next line."""
        begun_s = time.monotonic()
        if not self._unsaved or (begun_s < self._save_at_s and not at_once):
            return
        saved = {one for one in self._unsaved if self._save(one, self._session.tables[one].dump())}
        self._unsaved -= saved  # what found no room is tried again with the next line
        cost_s = time.monotonic() - begun_s
        self._save_at_s = begun_s + 10 * cost_s if cost_s > LONG_SAVE_S else 0.0

    def _save(self, channel: str, state: bytes) -> bool:
        """Replace the file whole. No fsync: its checksum shows a torn one, and the feed repairs it."""
        path = self._path(channel)
        mark = hashlib.sha256(f"{os.getpid()}:{id(self)}".encode()).hexdigest()[:12]
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            temporary = path.with_name(f"{path.name}.{mark}.tmp")
            temporary.write_bytes(state)
            temporary.replace(path)
        except OSError as error:
            log.warning("door %s: state not saved: %s", self._door, error.strerror)
            return False
        return True

    def _path(self, channel: str) -> Path:
        return self._directory / f"{channel}.state"

    def _saved_overlays(self) -> list[str]:
        return [
            path.name.removesuffix(".state")
            for every in self._session.every
            for path in sorted(self._directory.glob(f"{every.removesuffix(EVERY)}*.state"))
        ]
