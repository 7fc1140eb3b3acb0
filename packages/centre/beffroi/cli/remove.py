"""`stop` and `remove`: end the running centre; undo everything that `up` made except Debian packages.

Process: root. ``remove`` asks first, and touches only a directory that holds a centre.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from beffroi.cli import boot
from beffroi.cli.options import Parser, of_centre
from beffroi.lib.config import DEFAULT_STATE, Config, load
from beffroi.lib.errors import BeffroiError
from beffroi.mail.engines import patterns
from beffroi.supervise import children, preparation, secret_files, status
from beffroi.supervise.supervisor import stop_running

SETTINGS = "beffroi.toml"


class NotACentre(BeffroiError):
    """{} holds nothing of Beffroi (no beffroi.toml), so nothing is removed. Next: name a centre by --state, or none to
    take away what was installed alone"""

    code = "cli.not_a_centre"


class OtherCentre(BeffroiError):
    """The centre of {} works with the same packages and system users, which this would take away. Next: remove that one
    first; or ./beffroi stop --state {}, then delete that directory by hand"""

    code = "cli.other_centre"


class NotAllowed(BeffroiError):
    """The centre of {} belongs to another user. Next: sudo ./beffroi {}"""

    code = "cli.not_allowed"


class StillRunning(BeffroiError):
    """The centre did not stop in time. Next: ./beffroi status, then try again."""

    code = "cli.still_running"


def stop(arguments: Sequence[str]) -> int:
    config = of_centre(Parser(prog="beffroi stop").parse_args(arguments).state)
    running = bool(status.running_pid(config))
    _owner_only(config, "stop")
    if not stop_running(config):
        raise StillRunning
    ended = children.end_leftovers(status.directory(config) / "children.json")
    print("stopped." if running or ended else "nothing was running.")
    return 0


def main(arguments: Sequence[str]) -> int:
    parser = Parser(prog="beffroi remove")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    options = parser.parse_args(arguments)
    state = options.state.resolve()
    # The command goes on to the environment and the packages: by a wrong word another centre would lose them.
    is_empty = not state.exists() or not any(state.iterdir())
    if not (state / SETTINGS).exists() and not (is_empty and state == DEFAULT_STATE):
        raise NotACentre(state)
    if state != DEFAULT_STATE and (DEFAULT_STATE / SETTINGS).exists():
        raise OtherCentre(DEFAULT_STATE, state)
    config = load(state)
    _owner_only(config, "remove")
    if not options.yes and not _agreed(state):
        print("nothing was removed.", file=sys.stderr)
        return 3
    boot.forget(state)
    if state.exists():
        if not stop_running(config):
            raise StillRunning
        children.end_leftovers(status.directory(config) / "children.json")
        for name, elsewhere in delete(state):
            print(f"left as it is: {elsewhere}, to which {name} led")
        _remove_user(config.user)
    shutil.rmtree(patterns.CACHE.parent, ignore_errors=True)
    print(f"removed {state}")
    return 0


def delete(state: Path) -> list[tuple[str, Path]]:
    """Delete the directory; return its links and where they lead, which stays. What is mounted there is emptied.
    Its settings go last: cut off before, it is a centre still, which a second try removes. Errors: OSError.
    """
    entries = sorted(state.iterdir(), key=lambda one: (one.name == SETTINGS, one.name))
    links = [(one.name, one.resolve()) for one in entries if one.is_symlink()]
    for one in entries:
        if one.is_dir() and not one.is_symlink():
            shutil.rmtree(one, onexc=_unless_mounted)
        else:
            one.unlink()
    with contextlib.suppress(OSError):
        state.rmdir()
    return links


def _unless_mounted(_function: object, _path: str, error: BaseException) -> None:
    if not isinstance(error, OSError) or error.errno != errno.EBUSY:
        raise error


def _owner_only(config: Config, verb: str) -> None:
    if config.state.exists() and os.getuid() not in (0, config.state.stat().st_uid):
        raise NotAllowed(config.state, verb)


def _agreed(state: Path) -> bool:
    print(f"This deletes {state} with every mailbox, account and key in it.", file=sys.stderr)
    print("Type 'remove' to go on: ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip() == "remove"


def _remove_user(name: str) -> None:
    """Only the user that `up` makes; an administrator's own choice of user stays."""
    if name != preparation.PYTHON_USER or os.getuid() != 0:
        return
    try:
        pwd.getpwnam(name)
    except KeyError:
        return
    for user in (name, *(f"{name}-{other}" for other in preparation.OTHER_USERS)):
        subprocess.run(("/usr/sbin/userdel", user), check=False, stderr=subprocess.DEVNULL)
    for readers in (secret_files.FEED, secret_files.PAGES):
        subprocess.run(("/usr/sbin/groupdel", f"{name}-{readers}"), check=False, stderr=subprocess.DEVNULL)
