"""A desktop without a screen: private home, D-Bus and processes, and the authority of a centre among those it trusts.

Programs with windows start others that outlive them; all end with the session, which is a namespace of processes.
As root: ``/etc/ssl/certs`` is another directory in there.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.waiting import until

_INSIDE = 'mount --bind "$0" /etc/ssl/certs && exec dbus-daemon --session --nofork --address=unix:path="$1"'


@dataclass(frozen=True)
class Session:
    home: Path
    pid: int
    environment: Mapping[str, str]

    def run(self, *command: str | Path, asked: str = "", timeout_s: float = 120) -> tuple[int, str]:
        """(exit code, what it says). To a file: a pipe would end with what the program leaves behind."""
        entered = ("nsenter", f"--target={self.pid}", "--mount", "--pid", *command)
        with tempfile.TemporaryFile() as said:
            code = subprocess.run(
                entered,
                env=self.environment,
                cwd=self.home,
                input=asked.encode(),
                stdout=said,
                stderr=said,
                check=False,
                timeout=timeout_s,
            ).returncode
            said.seek(0)
            return code, said.read().decode()


def _environment(home: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "TZ": "Europe/Paris",
        "QT_QPA_PLATFORM": "offscreen",
        "XDG_RUNTIME_DIR": str(home / "run"),
        "DBUS_SESSION_BUS_ADDRESS": f"unix:path={home}/run/bus",
    }


@contextmanager
def _online() -> Iterator[None]:
    """Qt takes a network without a default route for none, and Akonadi then synchronizes nothing. Where a test's own
    network has loopback alone, one leads there: what would go elsewhere is dropped by the kernel."""
    if subprocess.run(("ip", "route", "show", "default"), capture_output=True, check=True).stdout:
        yield
        return
    subprocess.run(("ip", "route", "add", "default", "dev", "lo"), check=True)
    try:
        yield
    finally:
        subprocess.run(("ip", "route", "del", "default", "dev", "lo"), check=True)


@contextmanager
def session(home: Path, authorities: str, **environment: str) -> Iterator[Session]:
    """Until the block ends. ``home``: short enough for the paths of sockets."""
    own = _environment(home) | environment
    bus, trusted = home / "run" / "bus", home / "trusted"
    bus.parent.mkdir(0o700, parents=True)
    trusted.mkdir()
    shutil.copy(authorities, trusted / "centre.pem")
    subprocess.run(("openssl", "rehash", trusted), check=True, timeout=20)
    apart = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
    with _online():
        with (home / "session.log").open("ab") as log:
            process = subprocess.Popen(
                (*apart, "sh", "-c", _INSIDE, trusted, bus),
                env=own,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            until(bus.exists, "D-Bus answers")
            inside = int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])
            try:
                yield Session(home, inside, own)
            finally:
                # The first of its namespace: it is waited for until all have ended.
                os.kill(inside, signal.SIGKILL)
                process.wait(60)
        finally:
            process.kill()
