"""A desk without a screen, where real programs of desktops run: a home and all that a session has, of its own.

It is a namespace of processes and of mounts, and its D-Bus is the first process: with the desk all ends that was
started there, also what outlives the program that started it. That D-Bus starts the services that are named and no
other of the machine's; a keyring is open; one authority is trusted and no other; names lead to nobody.
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

import pytest

from tests.waiting import PATIENCE_S, until

PATH = "/usr/bin:/bin"
KIO_SERVICES = ("org.kde.kiod6", "org.kde.kpasswdserver6", "org.kde.kssld6")
"""What KIO asks while it reads and writes."""
_OWN = ("dbus-daemon", "gnome-keyring-daemon", "ip", "nsenter", "openssl", "unshare")
_TRUSTED = {
    "ca-certificates.crt": "GnuTLS (all of GLib) and OpenSSL",
    "authority.pem": "Qt, by the link that has the certificate's hash for its name",
}
"""In /etc/ssl/certs, by who reads it. NSS reads neither: ``Thunderbird.trust``."""
_BUS = """<busconfig><type>session</type><listen>unix:path={bus}</listen><servicedir>{services}</servicedir>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/>
</policy><limit name="service_start_timeout">240000</limit></busconfig>"""
_FIRST = """mount --bind "$0/certificates" /etc/ssl/certs && mount --bind "$0/resolv.conf" /etc/resolv.conf &&
exec dbus-daemon --config-file="$0/bus.conf" --nofork --nopidfile"""


def needs_desk(*programs: str) -> list[pytest.MarkDecorator]:
    """Of tests that run these, by their names or paths."""
    missing = [one for one in (*_OWN, *programs) if shutil.which(one, os.F_OK, PATH) is None]
    absent = pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")
    return [pytest.mark.root, pytest.mark.slow, absent]


@dataclass(frozen=True)
class Desk:
    home: Path
    environment: Mapping[str, str]
    _first: int

    @property
    def log(self) -> str:
        """What its programs said."""
        return _log(self.home).read_text(errors="replace")

    def inside(self, *command: str | Path) -> tuple[str | Path, ...]:
        """The same command, on the desk."""
        return ("nsenter", f"--target={self._first}", "--mount", "--pid", f"--wdns={self.home}", *command)

    def run(self, *command: str | Path, asked: str = "", timeout_s: float = 120) -> tuple[int, str]:
        """(exit code, what it says). To a file: a pipe would end with what the program leaves behind."""
        with tempfile.TemporaryFile() as said:
            code = subprocess.run(
                self.inside(*command),
                env=self.environment,
                input=asked.encode(),
                stdout=said,
                stderr=said,
                check=False,
                timeout=timeout_s,
            ).returncode
            said.seek(0)
            return code, said.read().decode()

    def start(
        self,
        *command: str | Path,
        stdin: int = subprocess.DEVNULL,
        stdout: int | None = None,
        pass_fds: tuple[int, ...] = (),
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """``stdout``: the log, unless it is told."""
        with _log(self.home).open("ab") as log:
            return subprocess.Popen(
                self.inside(*command),
                env={**self.environment, **(environment or {})},
                stdin=stdin,
                stdout=log if stdout is None else stdout,
                stderr=log,
                pass_fds=pass_fds,
            )


@contextmanager
def desk(
    home: Path,
    authorities: str | Path = "",
    services: tuple[str, ...] = (),
    environment: Mapping[str, str] | None = None,
) -> Iterator[Desk]:
    """Until the block ends. ``home``: short enough for the paths of sockets. ``authorities``: a file of certificates.

    ``services``: patterns of names of services that its D-Bus starts.
    """
    runtime, own = home / "run", home / ".desk"
    bus = runtime / "bus"
    for directory in (runtime, own / "certificates", own / "services"):
        directory.mkdir(0o700, parents=True)
    for name in _TRUSTED:
        shutil.copy(authorities or os.devnull, own / "certificates" / name)
    subprocess.run(
        ("openssl", "rehash", own / "certificates"), check=True, timeout=PATIENCE_S, capture_output=True
    )
    for pattern in services:
        for file in Path("/usr/share/dbus-1/services").glob(f"{pattern}.service"):
            (own / "services" / file.name).symlink_to(file)
    (own / "bus.conf").write_text(_BUS.format(bus=bus, services=own / "services"))
    (own / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    seen = {
        "PATH": PATH,
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "TZ": "Europe/Paris",
        "XDG_RUNTIME_DIR": str(runtime),
        "DBUS_SESSION_BUS_ADDRESS": f"unix:path={bus}",
        "QT_QPA_PLATFORM": "offscreen",
        **(environment or {}),
    }
    with _network():
        yield from _session(home, own, seen)


def _session(home: Path, own: Path, seen: Mapping[str, str]) -> Iterator[Desk]:
    bus = home / "run" / "bus"
    apart = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
    with _log(home).open("ab") as log:
        process = subprocess.Popen((*apart, "sh", "-c", _FIRST, own), env=seen, stdout=log, stderr=log)
    try:
        until(lambda: bus.exists() or process.poll() is not None, "D-Bus answers")
        assert process.poll() is None, _log(home).read_text()
        made = Desk(home, seen, child_of(process))
        try:
            unlocked = made.run("gnome-keyring-daemon", "--unlock", "--components=secrets", asked="x")
            assert unlocked[0] == 0, unlocked
            yield made
        finally:
            os.kill(made._first, signal.SIGKILL)  # waited for until all of its namespace have ended
            process.wait(PATIENCE_S)
    finally:
        process.kill()


@contextmanager
def _network() -> Iterator[None]:
    """GLib and Qt take one without a default route, as of loopback alone, for none, and their programs ask nobody."""
    routes = [
        subprocess.run(("ip", which, "route", "show", "default"), capture_output=True, check=True)
        for which in ("-4", "-6")
    ]
    if any(one.stdout for one in routes):
        yield
        return
    nowhere = ("prohibit", "default")
    subprocess.run(("ip", "-6", "route", "add", *nowhere), check=True)
    try:
        yield
    finally:
        subprocess.run(("ip", "-6", "route", "del", *nowhere), check=True)


def child_of(process: subprocess.Popen[bytes]) -> int:
    """The program itself: unshare and nsenter wait for it, and hand no signal on."""
    return int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])


def _log(home: Path) -> Path:
    return home / "desk.log"
