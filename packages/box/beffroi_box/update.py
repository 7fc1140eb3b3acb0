"""New software for this box: the release that ``beffroi_box.updater`` fetched is installed, proved, or taken back.

Purpose: packs the present software, installs the new one, waits for its health. A process of its own, because dpkg
         restarts the agent.
Process: root, in a transient unit: ``systemd-run ... python3 -m beffroi_box.update --state DIR``.
Trust:   what stands on the shelf was verified by the updater; number and the package's own name are checked here.
Fails:   nothing is installed unless all fits; what is not healthy in ``HEALTH_S`` is replaced by what ran before. A
         power cut in between is ended at the next start, by the agent or, where that cannot start, by
         beffroi-box-update-resume.service. A number that failed is not tried again; an attempt after which the former
         software reaches nobody either says nothing of the new one, and is made again when the centre offers it again;
         so is one whose way back could not be packed, which is told.
Source:  dpkg(1), dpkg-deb(1); the way of packing what is installed is that of dpkg-repack.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from beffroi_box.errors import BoxError
from beffroi_box.kernel import Kernel
from beffroi_box.software import AGAIN, PACKAGE, Plan, Shelf, UpdateFailed, unwritable
from beffroi_box.status import read as read_status
from beffroi_box.store import sync_directory

log = logging.getLogger("beffroi_box.update")

HEALTH_S = 180.0
POLL_S = 1.0
DPKG_TIMEOUT_S = 300.0
BUSY_S = 300.0
"""For apt, or a person's dpkg, that is at work; then the agent starts the installer again."""
DECIDED = 3
"""Exit status: the plan has its outcome, and the new software is not what runs. Known to deploy/deb/update-resume."""
MAX_TRIES = 3
"""Attempts after which the former software was not healthy either; the last one counts."""
_SCRIPTS = ("preinst", "postinst", "prerm", "postrm", "conffiles", "triggers")


class Installer:
    """``root``: where dpkg works, "/" on a box. ``healthy``: whether an agent runs, another one
    than that of the run named, and is sound."""

    def __init__(
        self,
        state: Path,
        *,
        root: Path = Path("/"),
        healthy: Callable[[str], bool],
        health_s: float = HEALTH_S,
    ) -> None:
        self._state = state
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
        with _alone(self._root / "var/lib/dpkg"):
            return self._carry_out(plan)

    def _carry_out(self, plan: Plan) -> Plan:
        if plan.number <= self._shelf.floor() and not self._shelf.former.exists() and not plan.tries:
            return self._end(plan, "refused", "it is older than what was tried here")
        if not self._shelf.former.exists():
            try:
                self._check()
            except (UpdateFailed, OSError) as error:
                self._shelf.raise_floor(plan.number)
                return self._end(plan, "refused", str(error))
            try:
                self._pack_present()
            except (UpdateFailed, OSError) as error:
                # A full disk: the new one was not tried, its number stays free.
                return self._end(plan, AGAIN, unwritable(error) if isinstance(error, OSError) else str(error))
        self._shelf.raise_floor(plan.number)
        former = self._running()
        try:
            self._dpkg("--install", str(self._shelf.next))
        except UpdateFailed as error:
            return self._go_back(plan, str(error))
        if self._proved(former):
            return self._end(plan, "installed", "")
        tried = self._running()
        self._dpkg("--install", str(self._shelf.former))
        plan = msgspec.structs.replace(plan, tries=plan.tries + 1)
        if plan.tries >= MAX_TRIES or self._proved(tried):
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
            try:
                _output("dpkg-deb", "--build", "--root-owner-group", str(tree), str(packed))
                with packed.open("rb") as file:
                    os.fsync(file.fileno())  # before dpkg begins: it is the way back from a power cut
            except BaseException:
                packed.unlink(missing_ok=True)
                raise
            packed.replace(self._shelf.former)
            sync_directory(self._shelf.place)

    def _running(self) -> str:
        """Run of the agent that wrote last."""
        report = read_status(self._state)
        return report.run if report is not None else ""

    def _proved(self, former: str) -> bool:
        """By what the agent says that dpkg just started. Its run tells it from the ``former`` one, which goes on where
        none was started; no clock does, since the agent sets it, perhaps at this very moment."""
        end = time.monotonic() + self._health_s
        while time.monotonic() < end:
            if self._healthy(former):
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


@contextlib.contextmanager
def _alone(admin: Path) -> Iterator[None]:
    """No other program changes packages meanwhile: what dpkg refused because of one would pass for a package that
    cannot be installed. ``admin``: dpkg's directory; its lock is the one of its front ends (dpkg(1), apt).

    Errors: UpdateFailed (one is at work for long)."""
    with (admin / "lock-frontend").open("a") as lock:
        end = time.monotonic() + BUSY_S
        while True:
            try:
                fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except (BlockingIOError, PermissionError):
                if time.monotonic() >= end:
                    raise UpdateFailed("another program changes packages") from None
                time.sleep(POLL_S)
        yield


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
    environment = {
        **os.environ,
        "DEBIAN_FRONTEND": "noninteractive",
        "DPKG_FRONTEND_LOCKED": "1",
        "LC_ALL": "C",
    }
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=DPKG_TIMEOUT_S, env=environment, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UpdateFailed(f"{command[0]}: {type(error).__name__}") from None
    if done.returncode:
        last = "".join(done.stderr.strip().splitlines()[-1:])[-120:]
        raise UpdateFailed(f"{command[0]} ended with {done.returncode}: {last}".removesuffix(": "))
    return done.stdout


def agent_healthy(state: Path) -> Callable[[str], bool]:
    """The agent runs, reaches the centre, and the rules are in the kernel."""

    def healthy(former: str) -> bool:
        report = read_status(state)
        if report is None or report.run == former or not report.connected:
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
    # What dpkg and a package's scripts make is for every user; our own lies in a closed directory.
    os.umask(0o022)
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
