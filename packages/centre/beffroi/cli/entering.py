"""What every command of a person on the centre's own machine does first.

Process: the person's own. Files are opened by who asked for it; then root becomes the Python user, so no file of the
         database changes hands, and Django is set up.
Fails:   closed: a database that is not there is never made by looking for it.
"""

from __future__ import annotations

import getpass
import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO

import django

from beffroi.core.identity.actor import Actor
from beffroi.lib.config import STATE_VARIABLE, Config
from beffroi.lib.errors import BeffroiError
from beffroi.supervise.secret_files import UserMissing


class FileUnusable(BeffroiError):
    """The file {} cannot be used: {}."""

    code = "cli.file_unusable"


_TAKES_BACK = ("/bin/sh", "-c", 'read -r _word || rm -f -- "$1"', "sh")
"""It still is who asked, when this process is the Python user and may remove nothing in their directory."""


def account() -> str:
    """The account of the machine that asks: an administrator's own name under sudo."""
    return os.environ.get("SUDO_USER") or pwd.getpwuid(os.getuid()).pw_name


def open_file(path: Path) -> BinaryIO:
    """Errors: FileUnusable."""
    try:
        return path.open("rb")
    except OSError as error:
        raise FileUnusable(path, error.strerror) from None


@contextmanager
def new_file(path: Path) -> Iterator[TextIO]:
    """A new file, 0600, open before root is given up, and on the disk when the block ends. Where the block fails, or
    this process is killed, nothing is left of it. Errors: FileUnusable."""
    try:
        out = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise FileUnusable(path, f"{error.strerror}; name a new file") from None
    with subprocess.Popen(
        (*_TAKES_BACK, path.absolute()), stdin=subprocess.PIPE, start_new_session=True
    ) as taker:
        assert taker.stdin is not None
        with os.fdopen(out, "w", encoding="utf-8") as handle:
            try:
                yield handle
                handle.flush()
                os.fsync(out)
            except OSError as error:
                if error.filename not in (None, path, str(path)):
                    raise  # of the centre, not of this file
                raise FileUnusable(path, error.strerror) from None
        taker.stdin.write(b"kept\n")


def enter_centre(config: Config) -> None:
    """Give up root and set Django up for this state. Errors: UserMissing."""
    _become_python_user(config)
    os.environ[STATE_VARIABLE] = str(config.state)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "beffroi.settings.base")
    django.setup()


@contextmanager
def in_centre(config: Config, unavailable: type[BeffroiError]) -> Iterator[None]:
    """``enter_centre``, for the rest of the process; while the block runs, a database that is not there or does not
    answer is ``unavailable(state, why)``. Files of the person are opened before. Errors: UserMissing."""
    if not has_database(config):
        raise unavailable(config.state, "no database")
    enter_centre(config)
    from django.db import DatabaseError  # noqa: PLC0415 - needs Django's settings

    try:
        yield
    except DatabaseError:
        raise unavailable(config.state, "the database does not answer") from None


def has_database(config: Config) -> bool:
    """Asked before the first query: opening an SQLite file that is not there would make an empty one."""
    return bool(config.database_url) or (config.state / "db" / "beffroi.sqlite").exists()


def sign_in(email: str) -> Actor:
    """The administrator of the Département who decides here, by password and code. Errors: SignInRefused."""
    from beffroi.core.identity import administrators  # noqa: PLC0415 - needs Django's settings

    password, code = _asked(f"Password of {email}: "), _asked("Code: ")
    found = administrators.authenticate_administrator(
        email=email, password=password, code=code, address="command"
    )
    return Actor("administrator", found.id, None, "administrator")


def _asked(prompt: str) -> str:
    """From the terminal, unseen; from a pipe, one line."""
    if sys.stdin.isatty():
        return getpass.getpass(prompt)
    return sys.stdin.readline().rstrip("\n")


def _become_python_user(config: Config) -> None:
    """Give up root for good where the centre has a user of its own. Errors: UserMissing."""
    if os.getuid() != 0 or not config.user:
        return
    try:
        entry = pwd.getpwnam(config.user)
    except KeyError:
        raise UserMissing(config.user) from None
    os.initgroups(config.user, entry.pw_gid)
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
