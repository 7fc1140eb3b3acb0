"""The real Nextcloud desktop program, with its windows, on a screen that nobody sees, with a D-Bus and a keyring.

``screen`` is one of them for a module; ``Program`` is one computer's installation, with its home and its folder.
"""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.waiting import until

PROGRAMS = ("nextcloud", "Xvfb", "xdotool", "xclip", "dbus-daemon", "gnome-keyring-daemon", "unshare")
needs_program = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(os.geteuid() != 0, reason="the planes start as root"),
    pytest.mark.skipif(not all(map(shutil.which, PROGRAMS)), reason="nextcloud-desktop is not installed"),
]
_BUS = """<busconfig><type>session</type><listen>unix:path={path}</listen><policy context="default">
<allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>"""
"""Starts no service of the machine."""
_BROWSER = "#!/bin/sh\nprintf '%s\\n' \"$1\" >> {opened}\n"
_SETTINGS = """[General]
overrideServerUrl={url}
overrideLocalDir={folder}
[Nextcloud]
remotePollInterval=5000
"""
"""With both overrides its wizard goes by itself to the sign-in, and on from there; it polls every 5 s, its least."""


@dataclass
class Screen:
    """``authorities``: a certificate authority that its programs trust, and no other."""

    directory: Path
    authorities: Path
    display: str = ""

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": f"{self.directory / 'bin'}:{os.environ['PATH']}",
            "DISPLAY": self.display,
            "DBUS_SESSION_BUS_ADDRESS": f"unix:path={self.directory / 'bus'}",
            "XDG_CURRENT_DESKTOP": "GNOME",  # its passwords are the keyring's
            "LANG": "C.UTF-8",
            "QTWEBENGINE_DISABLE_SANDBOX": "1",  # of a part that it starts and does not use: else root may not
        }

    def opened(self) -> list[str]:
        """What its programs gave a browser or a mail program, the latest at the end."""
        kept = self.directory / "opened"
        return kept.read_text().splitlines() if kept.exists() else []

    def do(self, *argv: str) -> str:
        """``xdotool`` or ``xclip``; what it says. Errors: none, where it finds nothing."""
        done = subprocess.run(
            argv,
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        return done.stdout


@contextmanager
def screen(directory: Path, authorities: Path) -> Iterator[Screen]:
    """``directory``: with a short path, for its sockets."""
    made = Screen(directory, authorities)
    for name in ("bin", "certificates", "pixels"):
        (directory / name).mkdir(parents=True)
    for name in ("authority.pem", "ca-certificates.crt"):  # Qt reads one, OpenSSL the other
        shutil.copy(authorities, directory / "certificates" / name)
    browser = directory / "bin" / "xdg-open"
    browser.write_text(_BROWSER.format(opened=shlex.quote(str(directory / "opened"))))
    browser.chmod(0o755)
    (directory / "bus.conf").write_text(_BUS.format(path=directory / "bus"))
    with ExitStack() as stack:

        def start(*argv: str, told: bytes = b"", descriptors: tuple[int, ...] = ()) -> None:
            log = stack.enter_context((directory / f"{argv[0]}.log").open("ab"))
            process = subprocess.Popen(
                argv,
                env=os.environ
                | made.environment
                | {"HOME": str(directory), "XDG_RUNTIME_DIR": str(directory)},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                pass_fds=descriptors,
            )
            stack.callback(_end, process)
            assert process.stdin is not None
            process.stdin.write(told)
            process.stdin.close()

        reading, writing = os.pipe()
        stack.callback(os.close, reading)
        size = ("-screen", "0", "1280x1000x24", "-fbdir", str(directory / "pixels"))
        start("Xvfb", "-displayfd", str(writing), *size, "-nolisten", "tcp", descriptors=(writing,))
        os.close(writing)
        made.display = f":{os.read(reading, 20).decode().strip()}"
        start("dbus-daemon", f"--config-file={directory / 'bus.conf'}", "--nofork", "--nopidfile")
        until((directory / "bus").exists, "a D-Bus")
        start("gnome-keyring-daemon", "--unlock", "--components=secrets", "--foreground", told=b"x")
        until((directory / "keyring" / "control").exists, "a keyring")
        yield made


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@dataclass
class Program:
    screen: Screen
    url: str
    name: str
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        settings = self.home / ".config" / "Nextcloud" / "nextcloud.cfg"
        settings.parent.mkdir(parents=True)
        settings.write_text(_SETTINGS.format(url=self.url, folder=self.folder))
        (self.home / "run").mkdir(mode=0o700)

    @property
    def home(self) -> Path:
        return self.screen.directory / self.name

    @property
    def folder(self) -> Path:
        return self.home / "files"

    @property
    def log(self) -> str:
        kept = self.home / "program.log"
        return kept.read_text("utf-8", "replace") if kept.exists() else ""

    def start(self) -> None:
        own = {
            name: str(1 << 20)
            for name in ("OWNCLOUD_CHUNK_SIZE", "OWNCLOUD_MIN_CHUNK_SIZE", "OWNCLOUD_MAX_CHUNK_SIZE")
        }
        own |= {"HOME": str(self.home), "XDG_RUNTIME_DIR": str(self.home / "run")}
        own |= {
            f"XDG_{name}_HOME": str(self.home / folder)
            for name, folder in (("CONFIG", ".config"), ("DATA", ".local/share"), ("CACHE", ".cache"))
        }
        options = f"--logfile {self.home / 'program.log'} --logdebug --logflush"
        (self.home / "run" / "Nextcloud" / "socket").unlink(missing_ok=True)  # one that ended leaves it
        certificates = self.screen.directory / "certificates"
        # In a mount namespace of its own: the machine trusts what it trusted.
        command = f"mount --bind {certificates} /etc/ssl/certs && exec nextcloud {options}"
        with (self.home / "program.out").open("ab") as out:
            self.process = subprocess.Popen(
                ("unshare", "--mount", "sh", "-c", command),
                env=os.environ | self.screen.environment | own,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )

    def end(self) -> None:
        if self.process is not None:
            _end(self.process)

    def menu(self, *lines: str, until_said: str) -> list[str]:
        """What file explorers ask by its socket, and all it says until that. Errors: OSError after 240 s."""
        place = self.home / "run" / "Nextcloud" / "socket"
        until(place.exists, "it listens", 60)
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(240)
            line.connect(str(place))
            line.sendall("".join(f"{one}\n" for one in lines).encode())
            said = ""
            with line.makefile(encoding="utf-8") as file:
                for one in file:
                    said += one
                    if one.startswith(until_said):
                        return said.splitlines()
        raise AssertionError(said)
