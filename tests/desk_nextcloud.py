"""The real Nextcloud desktop program, with its windows, on a desk with a screen that nobody sees.

``screen`` is one of them for a module; ``Program`` is one computer's installation, with its home and its folder.
"""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.desk import PATH, Desk, child_of, desk
from tests.waiting import until

PROGRAMS = ("nextcloud", "Xvfb", "xdotool", "xclip")
_SOCKETS = Path("/tmp/.X11-unix")
_BROWSER = "#!/bin/sh\nprintf '%s\\n' \"$1\" >> {opened}\n"
_SETTINGS = """[General]
overrideServerUrl={url}
overrideLocalDir={folder}
[Nextcloud]
remotePollInterval=5000
"""
"""With both overrides its wizard goes by itself to the sign-in, and on from there; it polls every 5 s, its least."""


@dataclass(frozen=True)
class Screen:
    desk: Desk
    display: str

    def opened(self) -> list[str]:
        """What its programs gave a browser or a mail program, the latest at the end."""
        kept = _opened(self.desk.home)
        return kept.read_text().splitlines() if kept.exists() else []

    def do(self, *argv: str) -> str:
        """``xdotool`` or ``xclip``; what it says. Errors: none, where it finds nothing."""
        done = subprocess.run(
            self.desk.inside(*argv),
            env={**self.desk.environment, "DISPLAY": self.display},
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        return done.stdout


@contextmanager
def screen(home: Path, authorities: Path) -> Iterator[Screen]:
    """``authorities``: as a desk's."""
    own, pixels = home / "bin", home / "pixels"
    for directory in (own, pixels):
        directory.mkdir(parents=True)
    _SOCKETS.mkdir(0o1777, exist_ok=True)
    browser = own / "xdg-open"
    browser.write_text(_BROWSER.format(opened=shlex.quote(str(_opened(home)))))
    browser.chmod(0o755)
    environment = {
        "PATH": f"{own}:{PATH}",
        "QT_QPA_PLATFORM": "xcb",
        "XDG_CURRENT_DESKTOP": "GNOME",  # its passwords are the keyring's
        "QTWEBENGINE_DISABLE_SANDBOX": "1",  # of a part that it starts and does not use: else root may not
    }
    with desk(home, authorities, environment=environment) as made:
        # Another run's screen may have the same number there, in another network.
        assert made.run("mount", "-t", "tmpfs", "screen", _SOCKETS) == (0, "")
        reading, writing = os.pipe()
        size = ("-screen", "0", "1280x1000x24", "-fbdir", pixels)
        made.start("Xvfb", "-displayfd", str(writing), *size, "-nolisten", "tcp", pass_fds=(writing,))
        os.close(writing)
        with os.fdopen(reading) as told:
            number = told.readline().strip()
        assert number, made.log
        yield Screen(made, f":{number}")


def _opened(home: Path) -> Path:
    return home / "opened"


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
        return self.screen.desk.home / self.name

    @property
    def folder(self) -> Path:
        return self.home / "files"

    @property
    def log(self) -> str:
        kept = self.home / "program.log"
        return kept.read_text("utf-8", "replace") if kept.exists() else ""

    def start(self) -> None:
        runtime = self.home / "run"
        parts = (f"OWNCLOUD_{name}CHUNK_SIZE" for name in ("", "MIN_", "MAX_"))
        own = {"HOME": str(self.home), "XDG_RUNTIME_DIR": str(runtime), "DISPLAY": self.screen.display}
        own |= dict.fromkeys(parts, str(1 << 20))
        (runtime / "Nextcloud" / "socket").unlink(missing_ok=True)  # one that ended leaves it
        options = ("--logfile", self.home / "program.log", "--logdebug", "--logflush")
        self.process = self.screen.desk.start("nextcloud", *options, environment=own)

    def end(self) -> None:
        """As a session asks its programs to, and as it ends those that do not."""
        if self.process is None or self.process.poll() is not None:
            return
        program = child_of(self.process)
        os.kill(program, signal.SIGTERM)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            os.kill(program, signal.SIGKILL)
            self.process.wait()

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
