"""Which policies are worth a trial now. Pure but for one small file: the caller brings the time.

Rule:    a policy that was rolled back stays noted, over restarts too. The same version is tried again only after the
         centre sent it again (at each connection it sends the current one), and not sooner than ``POLICY_RETRY_S``
         after the last failure, six times as long after each further one, a day at most: a trial may cut the town
         hall for some seconds. A restart is no reason to try: the pause begins anew. A later version is tried at once.
Fails:   a disk that takes no note: a restarted agent tries once more.
"""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec
from beffroi_protocol.errors import UNDECODABLE
from beffroi_protocol.messages import PolicyMessage

from beffroi_box.store import write_atomic

log = logging.getLogger("beffroi_box.trials")

POLICY_RETRY_S = 600.0
LONGEST_S = 86400.0


class Failed(msgspec.Struct):
    """``times``: how often this version failed."""

    version: int = 0
    times: int = 0


class Trials:
    """``offer`` each received policy, ask ``due``, report by ``failed`` or ``proved``. ``path``: keeps failures."""

    def __init__(self, path: Path | None = None, *, monotonic: float = 0.0) -> None:
        self._waiting: tuple[PolicyMessage, bytes] | None = None
        self._path = path
        self._failed = _read(path)
        self._failed_at = monotonic

    def offer(self, message: PolicyMessage, line: bytes) -> None:
        if self._waiting is None or message.policy_version >= self._waiting[0].policy_version:
            self._waiting = (message, line)

    def due(self, *, in_force: int, monotonic: float) -> tuple[PolicyMessage, bytes] | None:
        """Return the policy to try now, and forget it; one whose time has not come stays."""
        if self._waiting is None:
            return None
        version = self._waiting[0].policy_version
        if version <= in_force:
            self._waiting = None
            return None
        if version == self._failed.version and monotonic - self._failed_at < self._pause_s():
            return None
        found, self._waiting = self._waiting, None
        return found

    def _pause_s(self) -> float:
        return min(LONGEST_S, POLICY_RETRY_S * 6.0 ** min(self._failed.times - 1, 4))

    def failed(self, version: int, *, monotonic: float) -> None:
        times = self._failed.times + 1 if version == self._failed.version else 1
        self._note(Failed(version, times))
        self._failed_at = monotonic

    def proved(self) -> None:
        self._note(Failed())

    def _note(self, failed: Failed) -> None:
        self._failed = failed
        if self._path is None:
            return
        try:
            if failed.version:
                write_atomic(self._path, msgspec.json.encode(failed))
            else:
                self._path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("the failed policy is noted in memory only: %s", error.strerror)


def _read(path: Path | None) -> Failed:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Failed) if path else Failed()
    except (OSError, *UNDECODABLE):
        return Failed()
