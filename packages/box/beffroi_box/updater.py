"""The agent's part of new software: a signed release is taken, fetched by digest, and handed to the installer.

Process: root, a thread of the agent. The installer is ``beffroi_box.update``, in a transient unit of its own.
Trust:   the line was verified with a key of the software role. Number never lower than the floor on disk, expiry by the
         trusted time, size and digest of the content are checked here.
Fails:   nothing is planned unless all fits; what cannot be fetched is tried again, what was refused is not.
"""

from __future__ import annotations

import errno
import logging
import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from beffroi_protocol.errors import FileMismatch
from beffroi_protocol.facts import SoftwareUpdated
from beffroi_protocol.messages import Release

from beffroi_box.download import Files, MemoryDownload
from beffroi_box.errors import CentreRefused, CentreUnreachable
from beffroi_box.facts import FactSpool
from beffroi_box.software import AGAIN, Plan, Shelf, unwritable
from beffroi_box.store import write_atomic

log = logging.getLogger("beffroi_box.update")

RETRY_S = 60.0
ROOM_AGAIN_S = 900.0
"""So long after an attempt for which there was no room the next one is made, where the centre does not ask before."""
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


class Updater:
    """``offer`` takes verified releases; ``launch`` starts the installer in a process of its own."""

    def __init__(
        self,
        state: Path,
        files: Files,
        spool: FactSpool,
        now: Callable[[], int],
        launch: Callable[[Path], None] | None = None,
    ) -> None:
        self._state = state
        self._shelf = Shelf(state)
        self._download = MemoryDownload(files)
        self._spool = spool
        self._now = now
        self._launch = launch or launch_unit
        self._wanted: Release | None = None
        self._started: Release | None = None
        self._launched_at = float("-inf")
        self._complained, self._told = (0, ""), 0
        self._news = threading.Event()

    def offer(self, release: Release) -> None:
        if self._wanted is None or release.number > self._wanted.number:
            self._wanted = release
            self._news.set()

    def run(self, stopping: threading.Event) -> None:
        while not stopping.is_set():
            self._tell()
            self.step()
            self._news.wait(RETRY_S if self._wanted else 5.0)
            self._news.clear()

    def step(self) -> None:
        """Do what can be done now about the release that is wanted."""
        plan = self._shelf.plan()
        if plan is not None and not self._gave_way(plan):
            return
        if (wanted := self._wanted) is None:
            return
        if wanted.number <= self._shelf.floor():
            self._wanted = None
            self._complain(wanted.number, wanted.version, "it was tried here before")
            return
        if self._now() < wanted.not_before:
            return
        if self._now() >= wanted.expires_at:
            self._refuse(wanted, "expired")
            return
        try:
            self._fetch(wanted)
            self._shelf.save_plan(Plan(wanted.number, wanted.version))
        except (CentreUnreachable, CentreRefused) as error:
            log.warning("release %d is not here yet: %s", wanted.number, error)
            return
        except FileMismatch:
            self._refuse(wanted, "digest")
            return
        except OSError as error:
            log.warning("release %d cannot be kept: %s", wanted.number, error)
            if error.errno in _NO_ROOM:
                self._complain(wanted.number, wanted.version, unwritable(error))
            return
        self._started, self._wanted = wanted, None
        self._start()

    def _gave_way(self, plan: Plan) -> bool:
        """Go on with an attempt that is under way; True when a later release takes its place."""
        wanted = self._wanted
        if plan.outcome != AGAIN:
            # Cut off in the middle, or the unit did not start; where it is at work this does nothing.
            if not plan.outcome and time.monotonic() - self._launched_at > RETRY_S:
                self._start()
            return False
        if plan.reason:
            self._complain(plan.number, plan.version, plan.reason)
            if time.monotonic() - self._launched_at < RETRY_S:
                return False  # it is offered again with each connection
            if wanted is None and time.monotonic() - self._launched_at > ROOM_AGAIN_S:
                wanted = self._wanted = self._started
        if wanted is None:
            return False  # until the centre is there and still wants it
        if wanted.number != plan.number or self._now() >= wanted.expires_at:
            self._shelf.clear()
            return True
        self._started, self._wanted = wanted, None
        self._shelf.save_plan(msgspec.structs.replace(plan, outcome="", reason=""))
        self._start()
        return False

    def _start(self) -> None:
        self._launched_at = time.monotonic()
        try:
            self._launch(self._state)
        except (OSError, subprocess.SubprocessError) as error:
            log.error("the installer did not start: %s", type(error).__name__)

    def _fetch(self, wanted: Release) -> None:
        """Errors: CentreUnreachable, CentreRefused, FileMismatch, OSError."""
        content = self._download.fetch(wanted)
        if len(content) != wanted.size_bytes:
            raise FileMismatch("size")
        self._shelf.make()
        write_atomic(self._shelf.next, content)

    def _refuse(self, release: Release, reason: str) -> None:
        """Errors: OSError (disk; it is told all the same)."""
        self._wanted = None
        self._complain(release.number, release.version, reason)
        self._shelf.raise_floor(release.number)

    def _complain(self, number: int, version: str, why: str) -> None:
        """Tell the centre once that this release is not taken, so that it does not wait for it in vain; where it lacked
        room that comes back it is taken after all, and the centre believes that later word."""
        if self._complained != (number, why):
            self._complained = number, why
            self._report(Plan(number, version, "refused", why))

    def _tell(self) -> None:
        plan = self._shelf.plan()
        if plan is not None and plan.outcome and plan.outcome != AGAIN:
            if plan.number != self._told:  # the disk may not let go of the plan
                self._told = plan.number
                self._report(plan)
            self._spool.keep()
            self._shelf.clear()

    def _report(self, plan: Plan) -> None:
        self._spool.tell(
            SoftwareUpdated(
                f"sof_{secrets.token_hex(12)}",
                plan.number,
                plan.version,
                plan.outcome,
                plan.reason[:200],
                self._now(),
            )
        )


def launch_unit(state: Path) -> None:
    """Start the installer where the agent's end does not end it; where it runs already nothing happens."""
    subprocess.run(
        ["systemd-run", "--collect", "--unit=beffroi-box-update",
         "--setenv=PYTHONPATH=" + os.pathsep.join(place for place in sys.path if place),
         sys.executable, "-m", "beffroi_box.update", "--state", str(state)],
        check=False, capture_output=True, timeout=30,
    )  # fmt: skip
