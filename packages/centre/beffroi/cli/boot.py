"""`boot on | off`: the centre starts with the machine, as a unit of systemd; without a word, whether it does.

Process: root. The unit runs the same ``./beffroi up`` as a person would, from the same checkout.
Fails:   one sentence; nothing is half-enabled that the same command would not end.
Source:  systemd.unit(5), systemd.service(5).
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from beffroi.cli.options import Parser, of_centre
from beffroi.lib.errors import BeffroiError
from beffroi.supervise import status
from beffroi.supervise.secret_files import supervisor_owner, write_file

NAME = "beffroi.service"
FILE = Path("/etc/systemd/system") / NAME
BOOTED = Path("/run/systemd/system")
UNIT = """\
# Written by ./beffroi boot on; ./beffroi boot off takes it away.
[Unit]
Description=Beffroi: mail, files and immunity of the communes
Wants=network-online.target
After=network-online.target postgresql.service
RequiresMountsFor={state}
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart={command} up --no-demo --state {state}
# The first start installs, and a new version backs the database up and changes it.
TimeoutStartSec=infinity
TimeoutStopSec=180
# `up` ends its processes itself, and starts one again that the kernel ended for want of memory.
KillMode=mixed
OOMPolicy=continue
TasksMax=infinity
Restart=on-failure
RestartSec=5
RestartSteps=6
RestartMaxDelaySec=300

[Install]
WantedBy=multi-user.target
"""


class BootNeedsRoot(BeffroiError):
    """What starts with the machine is root's to say. Next: sudo ./beffroi boot {}"""

    code = "cli.boot_needs_root"


class NotBooted(BeffroiError):
    """No systemd started this machine (a container?), so it starts nothing here. Next: have ./beffroi up started by
    what starts the machine"""

    code = "cli.not_booted"


class UnitFailed(BeffroiError):
    """The unit did not do what it should: {}. Next: journalctl -u beffroi"""

    code = "cli.unit_failed"


def main(arguments: Sequence[str]) -> int:
    parser = Parser(prog="beffroi boot")
    parser.add_argument("word", nargs="?", choices=("on", "off"))
    parser.add_argument("--command", type=Path, required=True, help="the command of this checkout")
    options = parser.parse_args(arguments)
    if options.word is None:
        print(f"The centre starts with this machine ({FILE})." if FILE.exists() else
              "Nothing starts the centre with this machine. Next: ./beffroi boot on")  # fmt: skip
        return 0
    if os.getuid() != 0:
        raise BootNeedsRoot(options.word)
    if not BOOTED.is_dir():
        raise NotBooted
    return _on(options.state.resolve(), options.command) if options.word == "on" else _off()


def _on(state: Path, command: Path) -> int:
    """Errors: NoCentre, UnitFailed."""
    config = of_centre(state)
    text = UNIT.format(command=_quoted(command), state=_quoted(state))
    write_file(FILE, text.encode(), mode=0o644, owner=supervisor_owner())
    _systemctl("daemon-reload")
    _systemctl("enable", "--quiet", NAME)
    if status.running_pid(config):
        print("The centre starts with this machine from now on. The one that runs goes on; to hand it over:\n"
              "  ./beffroi stop && systemctl start beffroi")  # fmt: skip
        return 0
    print("The centre starts with this machine from now on, and starts now.", flush=True)
    _systemctl("start", NAME)
    print("It is healthy. What it says: journalctl -u beffroi")
    return 0


def _off() -> int:
    """What runs goes on. Errors: UnitFailed."""
    _take_away()
    print("Nothing starts the centre with this machine. One that runs goes on, until ./beffroi stop.")
    return 0


def forget(state: Path) -> None:
    """A centre that is removed starts no more. Errors: UnitFailed."""
    if FILE.exists() and f"--state {_quoted(state)}\n" in FILE.read_text("utf-8"):
        _take_away()


def _take_away() -> None:
    if FILE.exists() and BOOTED.is_dir():
        _systemctl("disable", "--quiet", NAME)
    FILE.unlink(missing_ok=True)
    if BOOTED.is_dir():
        _systemctl("daemon-reload")


def _quoted(path: Path) -> str:
    """A word of a unit, whatever signs it has."""
    text = str(path).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{text}"'


def _systemctl(*words: str) -> None:
    """Errors: UnitFailed."""
    done = subprocess.run(("systemctl", *words), capture_output=True, text=True, check=False)
    if done.returncode:
        raise UnitFailed(" ".join(done.stderr.split()).rstrip(".") or f"status {done.returncode}")
