"""New software for this box: a signed release, fetched by digest, installed, proved, or taken back by the box itself.

Purpose: ``Updater`` (a thread of the agent) takes a release and fetches it; ``Installer`` (a process of its own,
         because dpkg restarts the agent) packs the present software, installs the new one, waits for its health.
Process: root. The installer runs in a transient unit: ``systemd-run ... python3 -m beffroi_box.update --state DIR``.
Trust:   the line was verified with a key of the software role. Number never lower than the floor on disk, expiry by the
         trusted time, size and digest of the content, and the package's own name are checked here.
Fails:   nothing is installed unless all fits; what is not healthy in ``HEALTH_S`` is replaced by what ran before. A
         power cut in between is ended at the next start, by the agent or, where that cannot start, by
         beffroi-box-update-resume.service. A number that failed is not tried again; an attempt after which the former
         software reaches nobody either says nothing of the new one, and is made again when the centre offers it again.
Source:  dpkg(1), dpkg-deb(1); the way of packing what is installed is that of dpkg-repack.
"""

from __future__ import annotations

import argparse
import errno
import hashlib
import logging
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from beffroi_protocol.errors import FileMismatch
from beffroi_protocol.facts import SoftwareUpdated
from beffroi_protocol.messages import Release

from beffroi_box.download import Files, fetch_snapshot
from beffroi_box.errors import BoxError, CentreRefused, CentreUnreachable
from beffroi_box.facts import FactSpool
from beffroi_box.kernel import Kernel
from beffroi_box.status import read as read_status
from beffroi_box.store import read_checked, write_atomic, write_checked

log = logging.getLogger("beffroi_box.update")

PACKAGE = "beffroi-box"
HEALTH_S = 180.0
POLL_S = 1.0
RETRY_S = 60.0
DPKG_TIMEOUT_S = 300.0
DECIDED = 3
"""Exit status: the plan has its outcome, and the new software is not what runs. Known to deploy/deb/update-resume."""
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
_SCRIPTS = ("preinst", "postinst", "prerm", "postrm", "conffiles", "triggers")


AGAIN = "again"
MAX_TRIES = 3
"""Attempts after which the former software was not healthy either; the last one counts."""


class UpdateFailed(BoxError):
    """The software could not be changed: {}"""

    code = "box.update_failed"


class Plan(msgspec.Struct, frozen=True):
    """An update under way; ``outcome`` "" until it is decided, AGAIN for an attempt that proved nothing."""

    number: int
    version: str
    outcome: str = ""
    reason: str = ""
    tries: int = 0


class Shelf:
    """STATE/software: the floor, the plan, the packages."""

    def __init__(self, state: Path) -> None:
        self.place = state / "software"
        self.next = self.place / "next.deb"
        self.former = self.place / "former.deb"

    def floor(self) -> int:
        """The highest number that was ever tried here, 0 for none."""
        text = read_checked(self.place / "floor") if self.place.exists() else None
        return int(text) if text is not None and text.isdigit() else 0

    def raise_floor(self, number: int) -> None:
        if number > self.floor():
            write_checked(self.place / "floor", str(number).encode())

    def plan(self) -> Plan | None:
        data = read_checked(self.place / "plan") if (self.place / "plan").exists() else None
        return msgspec.json.decode(data, type=Plan) if data is not None else None

    def save_plan(self, plan: Plan) -> None:
        write_checked(self.place / "plan", msgspec.json.encode(plan))

    def clear(self) -> None:
        for path in (self.place / "plan", self.place / "plan.previous", self.next, self.former):
            path.unlink(missing_ok=True)


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
        self._files = files
        self._spool = spool
        self._now = now
        self._launch = launch or launch_unit
        self._wanted: Release | None = None
        self._launched_at = float("-inf")
        self._complained = 0
        self._news = threading.Event()

    def offer(self, release: Release) -> None:
        if self._wanted is None or release.number > self._wanted.number:
            self._wanted = release
            self._news.set()

    def run(self, stopping: threading.Event) -> None:
        self._shelf.place.mkdir(mode=0o700, exist_ok=True)
        while not stopping.is_set():
            self._tell()
            self.step()
            self._news.wait(RETRY_S if self._wanted else 5.0)
            self._news.clear()

    def step(self) -> None:
        """Do what can be done now about the release that is wanted."""
        wanted, plan = self._wanted, self._shelf.plan()
        if plan is not None and not self._gave_way(plan):
            return
        if wanted is None:
            return
        if wanted.number <= self._shelf.floor():
            self._wanted = None
            self._complain(wanted, "it was tried here before")
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
                self._complain(wanted, f"it cannot be written here: {errno.errorcode[error.errno]}")
            return
        self._wanted = None
        self._start()

    def _gave_way(self, plan: Plan) -> bool:
        """Go on with an attempt that is under way; True when a later release takes its place."""
        wanted = self._wanted
        if plan.outcome != AGAIN:
            # Cut off in the middle, or the unit did not start; where it is at work this does nothing.
            if not plan.outcome and time.monotonic() - self._launched_at > RETRY_S:
                self._start()
            return False
        if wanted is None:
            return False  # until the centre is there and still wants it
        if wanted.number != plan.number:
            self._shelf.clear()
            return True
        self._wanted = None
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
        file = _Named(PACKAGE, wanted.sha256, wanted.size_bytes)
        content = fetch_snapshot(self._files, file)  # type: ignore[arg-type] # digest and size is all it asks
        if len(content) != wanted.size_bytes or hashlib.sha256(content).hexdigest() != wanted.sha256:
            raise FileMismatch("digest")
        self._shelf.place.mkdir(mode=0o700, exist_ok=True)
        write_atomic(self._shelf.next, content)

    def _refuse(self, release: Release, reason: str) -> None:
        self._wanted = None
        self._shelf.raise_floor(release.number)
        self._report(Plan(release.number, release.version, "refused", reason))

    def _complain(self, release: Release, why: str) -> None:
        """Tell the centre once that this release is not taken now, so that it does not wait for it in vain; where room
        comes back it is taken after all, and the centre believes that later word."""
        if self._complained != release.number:
            self._complained = release.number
            self._report(Plan(release.number, release.version, "refused", why))

    def _tell(self) -> None:
        plan = self._shelf.plan()
        if plan is not None and plan.outcome and plan.outcome != AGAIN:
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


class _Named(msgspec.Struct, frozen=True):
    channel: str
    sha256: str
    size_bytes: int


class Installer:
    """``root``: where dpkg works, "/" on a box. ``healthy``: whether the software that runs now is sound."""

    def __init__(
        self,
        state: Path,
        *,
        root: Path = Path("/"),
        healthy: Callable[[float], bool],
        health_s: float = HEALTH_S,
    ) -> None:
        self._shelf = Shelf(state)
        self._root = root
        self._healthy = healthy
        self._health_s = health_s

    def run(self) -> Plan:
        """Install the planned package and prove it, or go back; return the plan with its outcome.

        Errors: UpdateFailed when there is nothing to do, or the former software cannot be brought back.
        """
        plan = self._shelf.plan()
        if plan is None or plan.outcome:
            raise UpdateFailed("there is no plan")
        if plan.number <= self._shelf.floor() and not self._shelf.former.exists() and not plan.tries:
            return self._end(plan, "refused", "it is older than what was tried here")
        if not self._shelf.former.exists():
            try:
                self._check()
                self._pack_present()
            except (UpdateFailed, OSError) as error:
                self._shelf.raise_floor(plan.number)
                return self._end(plan, "refused", str(error))
            self._shelf.raise_floor(plan.number)
        try:
            self._dpkg("--install", str(self._shelf.next))
        except UpdateFailed as error:
            return self._go_back(plan, str(error))
        began = time.time() + 1  # what the former agent wrote last, in whole seconds, proves nothing
        if self._proved(began):
            return self._end(plan, "installed", "")
        back = time.time() + 1
        self._dpkg("--install", str(self._shelf.former))
        plan = msgspec.structs.replace(plan, tries=plan.tries + 1)
        if plan.tries >= MAX_TRIES or self._proved(back):
            return self._end(plan, "rolled_back", "not healthy")
        # The former software does not do better: the line or the centre is away, and the new one was not tried at all.
        ended = self._end(plan, AGAIN, "")
        self._shelf.former.unlink()
        return ended

    def _check(self) -> None:
        """The package is named as it should: a signed file of another package would stay beside this one."""
        if (name := _output("dpkg-deb", "--field", str(self._shelf.next), "Package").strip()) != PACKAGE:
            raise UpdateFailed(f"it is the package {name[:60]}")

    def _pack_present(self) -> None:
        """Make a package of what is installed now, so that it can come back without a network."""
        admin = self._root / "var/lib/dpkg"
        fields = _output("dpkg-query", f"--admindir={admin}", "--status", PACKAGE)
        with tempfile.TemporaryDirectory(dir=self._shelf.place) as name:
            tree = Path(name)
            control = tree / "DEBIAN"
            control.mkdir(mode=0o755)
            tree.chmod(0o755)
            (control / "control").write_text(_control(fields))
            for script in _SCRIPTS:
                kept = admin / "info" / f"{PACKAGE}.{script}"
                if kept.exists():
                    shutil.copy2(kept, control / script)
            for line in (admin / "info" / f"{PACKAGE}.list").read_text().splitlines():
                _copy(self._root / line.lstrip("/"), tree / line.lstrip("/"))
            packed = self._shelf.place / "former.new"
            _output("dpkg-deb", "--build", "--root-owner-group", str(tree), str(packed))
            packed.replace(self._shelf.former)

    def _proved(self, began: float) -> bool:
        end = time.monotonic() + self._health_s
        while time.monotonic() < end:
            if self._healthy(began):
                return True
            time.sleep(POLL_S)
        return False

    def _go_back(self, plan: Plan, reason: str) -> Plan:
        self._dpkg("--install", str(self._shelf.former))
        return self._end(plan, "rolled_back", reason)

    def _end(self, plan: Plan, outcome: str, reason: str) -> Plan:
        ended = msgspec.structs.replace(plan, outcome=outcome, reason=reason[:200])
        self._shelf.save_plan(ended)
        return ended

    def _dpkg(self, *arguments: str) -> None:
        _output("dpkg", f"--root={self._root}", "--force-confold", "--force-downgrade", *arguments)


def _control(status: str) -> str:
    """The control fields of an installed package: without its state and its list of conffiles."""
    kept, skipping = [], False
    for line in status.splitlines():
        if not line.startswith(" "):
            skipping = line.startswith(("Status:", "Conffiles:", "Config-Version:"))
        if not skipping and line:
            kept.append(line)
    return "\n".join(kept) + "\n"


def _copy(source: Path, target: Path) -> None:
    if source.is_symlink():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(source.readlink())
    elif source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        shutil.copystat(source, target)
    elif source.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)


def _output(*command: str) -> str:
    """Errors: UpdateFailed."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=DPKG_TIMEOUT_S, env=environment, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UpdateFailed(f"{command[0]}: {type(error).__name__}") from None
    if done.returncode:
        raise UpdateFailed(f"{command[0]} ended with {done.returncode}")
    return done.stdout


def launch_unit(state: Path) -> None:
    """Start the installer where the agent's end does not end it; where it runs already nothing happens."""
    subprocess.run(
        ["systemd-run", "--collect", "--unit=beffroi-box-update",
         "--setenv=PYTHONPATH=" + os.pathsep.join(place for place in sys.path if place),
         sys.executable, "-m", "beffroi_box.update", "--state", str(state)],
        check=False, capture_output=True, timeout=30,
    )  # fmt: skip


def agent_healthy(state: Path) -> Callable[[float], bool]:
    """The agent has run since then, reaches the centre, and the rules are in the kernel."""

    def healthy(began: float) -> bool:
        report = read_status(state)
        if report is None or report.written_at <= began or not report.connected:
            return False
        kernel = Kernel()
        try:
            return kernel.has_rules()
        except OSError:
            return False
        finally:
            kernel.close()

    return healthy


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="beffroi_box.update")
    parser.add_argument("--state", type=Path, required=True)
    state: Path = parser.parse_args(arguments).state
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    os.umask(0o077)
    present = Shelf(state).plan()
    if present is None or present.outcome:
        return DECIDED
    try:
        plan = Installer(state, healthy=agent_healthy(state)).run()
    except (BoxError, OSError, zlib.error) as error:
        log.error("%s", error)
        return 1
    log.info("release %d %s: %s %s", plan.number, plan.version, plan.outcome, plan.reason)
    return 0 if plan.outcome == "installed" else DECIDED


if __name__ == "__main__":
    sys.exit(main())
