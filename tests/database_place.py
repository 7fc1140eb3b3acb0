"""A centre's state directory with a database, on SQLite or a PostgreSQL server, and its backups."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString, cast
from urllib.parse import urlsplit

from beffroi.core.planes.db import connect
from beffroi.lib import envelopes
from beffroi.lib.config import Config, load
from beffroi.mail.backup.database.keeping import Databases
from beffroi.supervise import secret_files

from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parents[1]
SERVER = os.environ.get("BEFFROI_TEST_DATABASE", "")
_MAILBOX = (
    "INSERT INTO mail_mailbox (id, collectivite_id, address, person_id, crypt_key, created_at)"
    " VALUES (?, 'col_a', ?, NULL, ?, '2026-11-01 08:00:00')"
)


def command(config: Config, words: Sequence[str], *, text: str = "") -> subprocess.CompletedProcess[str]:
    """What a person types after ``./beffroi``, and what they answer."""
    environment = os.environ | {
        "BEFFROI_STATE": str(config.state),
        "DJANGO_SETTINGS_MODULE": "beffroi.settings.base",
    }
    return subprocess.run(
        (sys.executable, "-P", "-m", "beffroi.cli", *words),
        input=text,
        capture_output=True,
        text=True,
        env=environment,
        timeout=PATIENCE_S,
        cwd=ROOT,
        check=False,
    )


@dataclass(frozen=True)
class Machine:
    config: Config

    @property
    def databases(self) -> Databases:
        return Databases(self.config)

    def run(self, *words: str, text: str = "") -> subprocess.CompletedProcess[str]:
        state = ("--state", str(self.config.state)) if words[0] == "database" else ()
        return command(self.config, (*words, *state), text=text)

    def said(self, *words: str) -> str:
        done = self.run(*words)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    def ask(self, query: str, *parameters: object) -> list[tuple[object, ...]]:
        database = connect(self.config.database)
        try:
            return database.execute(cast("LiteralString", query), parameters)
        finally:
            database.close()

    def mailbox(self, mailbox_id: str) -> str:
        """A mailbox with a key; return that, wrapped."""
        key = envelopes.wrap(b"k" * 32, secrets.token_bytes(32), mailbox_id)
        self.ask(_MAILBOX, mailbox_id, f"{mailbox_id}@x.test", key)
        return key

    def key(self, mailbox_id: str) -> object:
        ((key,),) = self.ask("SELECT crypt_key FROM mail_mailbox WHERE id = ?", mailbox_id)
        return key


def machine(state: Path, *, url: str, place: Path | None = None, like: Machine | None = None) -> Machine:
    """As far as ``up`` brings it before it starts anything. ``place``: of the backups; ``like``: whose database it
    has a copy of, and whose keys."""
    state.mkdir(parents=True)
    lines = [f'database_url = "{url}"'] if url else []
    lines += [f'backup_path = "{place}"'] if place is not None else []
    (state / "beffroi.toml").write_text("\n".join(lines) + "\n")
    config = load(state)
    for name in ("run", "log", "db", "feed", "doors", "lists", "audit", "software", "backup-rows", "erased"):
        (state / name).mkdir()
    if like is not None:
        if not url:
            shutil.copy(like.config.state / "db" / "beffroi.sqlite", state / "db")
        shutil.copytree(like.config.secrets, config.secrets)
        (config.secrets / "backup.key").unlink()
    secret_files.generate(config)
    return Machine(config)


@contextmanager
def own_database(like: Machine | None = None) -> Iterator[str]:
    """The address of a database of one's own on the server of the tests, empty or like another; "" for a file."""
    if not SERVER:
        yield ""
        return
    name = f"centre_{secrets.token_hex(6)}"
    server = connect(SERVER)
    template = f" TEMPLATE {urlsplit(like.config.database_url).path[1:]}" if like is not None else ""
    server.execute(cast("LiteralString", f"CREATE DATABASE {name}{template}"))
    try:
        yield SERVER.replace(urlsplit(SERVER).path, f"/{name}", 1)
    finally:
        server.execute(cast("LiteralString", f"DROP DATABASE {name} WITH (FORCE)"))
        server.close()


def plant(made: Machine, *arguments: str) -> None:
    done = made.run("prepare", *arguments, text="kept\n")
    assert done.returncode == 0, done.stderr


def move(of: Machine, to: Machine, names: Sequence[str]) -> None:
    """Secrets that somebody kept outside."""
    for name in names:
        shutil.copy(of.config.secrets / name, to.config.secrets / name)
