"""A drive's metadata on each database that is at hand."""

from __future__ import annotations

import atexit
import os
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from beffroi.drive.store import schema, tree
from beffroi.drive.store.database import Database
from beffroi.drive.store.model import Node
from beffroi.drive.store.postgres import Connections, PostgresDatabase
from beffroi.drive.store.sqlite import SqliteDatabase
from psycopg import sql

from tests.drive_trees import NOW_S, Open

SERVER = os.environ.get("BEFFROI_TEST_DATABASE", "")
BACKENDS = ["sqlite", *(["postgresql"] if SERVER else [])]


_free: list[str] = []
"""Databases that are empty again: making one is an eighth of a second of processor."""


@contextmanager
def scratch_url() -> Iterator[str]:
    """A database of its own on the server."""
    parts = urlsplit(SERVER)
    name = _free.pop() if _free else _new_database()
    url = f"postgresql://{parts.netloc}/{name}?{parts.query}"
    yield url
    with psycopg.connect(url, autocommit=True) as own:
        own.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        schemas = own.execute(
            "SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema$)'"
        )
        for (schema_name,) in schemas.fetchall():
            own.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema_name)))
        own.execute("CREATE SCHEMA public")
    _free.append(name)


def _new_database() -> str:
    name = f"drive_{secrets.token_hex(4)}"
    with psycopg.connect(SERVER, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
    atexit.register(_drop, name)
    return name


def _drop(name: str) -> None:
    with psycopg.connect(SERVER, autocommit=True) as server:
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def in_one_file(path: Path) -> Iterator[SqliteDatabase]:
    """Metadata for what is SQLite's alone."""
    with ThreadPoolExecutor(2) as pool:
        made = SqliteDatabase(path, pool)
        yield made
        made.close()


@pytest.fixture(params=BACKENDS)
def opens(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens the same collectivité once more, as another process would."""
    with ThreadPoolExecutor(2) as pool:
        made: list[Database] = []

        def kept(one: Database) -> Database:
            made.append(one)
            return one

        if request.param == "sqlite":
            yield lambda: kept(SqliteDatabase(tmp_path / "metadata.db", pool))
        else:
            with scratch_url() as url:
                connections = Connections(url)
                yield lambda: kept(PostgresDatabase(connections, "col_test", pool))
                connections.close()
        for one in made:
            one.close()


@pytest.fixture(params=BACKENDS)
def backend_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """As ``Config.database`` gives it."""
    if request.param == "sqlite":
        yield "sqlite:////nowhere.sqlite"
        return
    with scratch_url() as url:
        yield url


@pytest.fixture
def metadata(opens: Open) -> Database:
    return opens()


@pytest.fixture
def home(metadata: Database) -> Node:
    return metadata.write(lambda w: tree.make_root(w, schema.HOME + "per_me", now_s=NOW_S))
