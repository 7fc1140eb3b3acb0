"""Bring a state directory to the point where processes can start. Every step may run again at each start.

Purpose: directories, secrets, certificates, engine configurations; then the database and, on a first run, the
         demonstration, by a child that runs as the Python user (the database is its own).
Process: the supervisor, as root in production.
Fails:   closed: the first step that fails ends the start, with its sentence; steps done stay done.
Source:  docs/internals/supervisor.md.
"""

from __future__ import annotations

import errno
import grp
import json
import pwd
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from beffroi.lib import durable
from beffroi.lib.config import STATE_VARIABLE, Config
from beffroi.lib.errors import BeffroiError
from beffroi.mail.certificates import own
from beffroi.supervise import accounts, acme, centre, certificates, children, kernel_limits, secret_files
from beffroi.supervise.secret_files import python_owner, supervisor_owner, write_file

PYTHON_USER = "beffroi"
OTHER_USERS = ("fetch", "reports", "scan", "previews", "registrar", "acme")
_COMMIT = b"kept\n"


class DatabaseFailed(BeffroiError):
    """The database could not be prepared, and nothing was started: {}"""

    code = "supervise.database_failed"


class UserNotMade(BeffroiError):
    """The system user or group {} could not be made: {}"""

    code = "supervise.user_not_made"


class LinkedDirectory(BeffroiError):
    """{} must be a directory, and is something else. Remove it; it is made again at the next start."""

    code = "supervise.linked_directory"


def write_first_settings(state: Path) -> bool:
    """Write STATE/beffroi.toml for a demonstration on this machine, if there is none yet."""
    path = state / "beffroi.toml"
    if path.exists():
        return False
    state.mkdir(parents=True, exist_ok=True)
    state.chmod(0o755)
    text = f'# Settings of this centre; all of them: docs/reference/settings.md\nuser = "{PYTHON_USER}"\n'
    write_file(path, text.encode(), mode=0o644, owner=supervisor_owner())
    return True


def make_user(name: str) -> None:
    """Make what is missing of the system user of the Python processes, of those that have one of their own, and of the
    groups that open secrets. Errors: UserNotMade."""
    for user in (name, *(f"{name}-{other}" for other in OTHER_USERS)):
        if not _known(pwd.getpwnam, user):
            command = ("/usr/sbin/useradd", "--system", "--user-group", "--no-create-home")
            _make(*command, "--shell", "/usr/sbin/nologin", "--home-dir", "/nonexistent", user)
    for readers in (secret_files.FEED, secret_files.PAGES):
        group = f"{name}-{readers}"
        if not _known(grp.getgrnam, group):
            _make("/usr/sbin/groupadd", "--system", group)
            # For a person who works as this user; a process of ours has only the group it was given.
            _make("/usr/sbin/usermod", "--append", "--groups", group, name)


def _make(*command: str) -> None:
    """Errors: UserNotMade."""
    done = subprocess.run(command, check=False, stderr=subprocess.PIPE, encoding="utf-8", errors="replace")
    if done.returncode != 0:
        raise UserNotMade(command[-1], done.stderr.strip() or f"{command[0]} ended with {done.returncode}")


def _known(look_up: Callable[[str], object], name: str) -> bool:
    try:
        look_up(name)
    except KeyError:
        return False
    return True


def prepare(config: Config) -> list[str]:
    """Make directories, secrets, certificates and configurations; return what a person should know."""
    _directories(config)
    secret_files.generate(config)
    certificates.ensure(config)
    notices = keep_up(config)
    acme.prepare(config)
    centre.write_files(config)
    secret_files.settle_directory(config)
    return notices


def keep_up(config: Config) -> list[str]:
    """What has to be done again while the centre runs, for months perhaps; return what a person should know."""
    notices = [secret_files.renew_delegation(config), *(limit.raise_() for limit in kernel_limits.LIMITS)]
    own.note(config)
    return [notice for notice in notices if notice]


def _directories(config: Config) -> None:
    owner = python_owner(config)
    config.state.mkdir(parents=True, exist_ok=True)
    config.state.chmod(0o755)
    for name, mode in (
        ("db", 0o700),
        ("feed", 0o700),
        ("audit", 0o700),
        ("erased", 0o700),
        ("lists", 0o700),
        ("software", 0o700),
        ("doors", 0o700),
        ("backup-rows", 0o700),
        ("drive", 0o700),
        ("drive-backup", 0o700),
        ("exports", 0o700),
        ("run", 0o2755),
        ("run/wake", 0o2770),
    ):
        _settled(config, name, mode, (owner.uid, owner.gid))
    _source_directories(config, owner)
    _registrar_directories(config, owner)
    previews = (
        owner if (user := secret_files.user_of(config, "previews")) is None else secret_files.user_owner(user)
    )
    _settled(config, "previews", 0o2750, (previews.uid, owner.gid))  # its socket is for the Python user
    for name, mode in (("log", 0o755), ("supervisor", 0o755)):
        path = config.state / name
        path.mkdir(exist_ok=True)
        path.chmod(mode)


def _source_directories(config: Config, owner: secret_files.Owner) -> None:
    """Where the Python user and the one that fetches meet: each writes one directory and reads the other."""
    user = secret_files.user_of(config, "fetch")
    fetch = owner if user is None else secret_files.user_owner(user)
    for name, uid, gid, mode in (
        ("sources", owner.uid, owner.gid, 0o711),
        ("sources/ask", owner.uid, fetch.gid, 0o2750),
        ("sources/brought", fetch.uid, owner.gid, 0o2770),
    ):
        _settled(config, name, mode, (uid, gid))


def _registrar_directories(config: Config, owner: secret_files.Owner) -> None:
    """Its socket is for the Python user; its keys are for nobody else."""
    user = secret_files.user_of(config, "registrar")
    own = owner if user is None else secret_files.user_owner(user)
    _settled(config, "registrar", 0o2750, (own.uid, owner.gid))
    _settled(config, "registrar/keys", 0o700, (own.uid, own.gid))


def _settled(config: Config, name: str, mode: int, owner: tuple[int, int]) -> None:
    """A directory of STATE may be a link of root's to another disk; within a directory of another user nothing may.

    Errors: LinkedDirectory.
    """
    path = config.state / name
    try:
        path.mkdir(exist_ok=True)
        durable.settle(path, mode=mode, owner=owner, follow="/" not in name)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.EEXIST):
            raise
        raise LinkedDirectory(path) from None


def prepare_database(config: Config, *, demo: str, before_change: Callable[[list[str]], None]) -> bool:
    """Bring the database up to date; on a first run plant the demonstration. True if it was planted now.

    ``demo``: "" for none, "default", or the path of a seed file. ``before_change``: hears of the migrations that a
    database in use will take, before any is made; what it raises leaves the database as it is.
    Errors: DatabaseFailed, those of ``before_change``.
    """
    argv = (sys.executable, "-m", "beffroi.cli", "prepare", *(("--demo", demo) if demo else ()))
    environment = {
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONSAFEPATH": "1",
        STATE_VARIABLE: str(config.state),
        "DJANGO_SETTINGS_MODULE": "beffroi.settings.base",
    }
    planted = False
    with subprocess.Popen(
        children.as_user(argv, config.user or None, secret_files.group(config, secret_files.PAGES)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        cwd="/",
        umask=0o077,
    ) as child:
        assert child.stdin is not None and child.stdout is not None and child.stderr is not None
        try:
            for line in child.stdout:
                told = json.loads(line)
                if "changes" in told:
                    before_change(told["changes"])
                else:
                    # First on disk, then the word to commit: no account whose password nobody has.
                    accounts.save(config, told)
                    planted = True
                child.stdin.write(_COMMIT)
                child.stdin.flush()
        finally:
            child.stdin.close()  # what waits for the word changes nothing, and ends
        said = child.stderr.read().decode("utf-8", "replace")
    if child.returncode != 0:
        raise DatabaseFailed(_with_next_step(last_words(said) or f"status {child.returncode}"))
    return planted


def _with_next_step(said: str) -> str:
    """Sentences of ours say what to do; those of a database do not."""
    return (
        said
        if "Next: " in said
        else f"{said.rstrip('.')}. Next: docs/runbooks/restore-database.md, What it says"
    )


def last_words(said: str) -> str:
    """The last message of what a process wrote: PostgreSQL's go over several lines, the further ones indented."""
    lines = said.strip().splitlines()
    first = next((n for n in reversed(range(len(lines))) if not lines[n][:1].isspace()), 0)
    return " ".join(line.strip() for line in lines[first:]).removeprefix("beffroi: ")
