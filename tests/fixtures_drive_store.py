"""A drive's metadata on each database that is at hand."""

from __future__ import annotations

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

from tests.drive_trees import NOW_S, Open

SERVER = os.environ.get("BEFFROI_TEST_DATABASE", "")
BACKENDS = ["sqlite", *(["postgresql"] if SERVER else [])]


@contextmanager
def scratch_url() -> Iterator[str]:
    """A database of its own on the server."""
    name = f"drive_{secrets.token_hex(4)}"
    with psycopg.connect(SERVER, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        parts = urlsplit(SERVER)
        yield f"postgresql://{parts.netloc}/{name}?{parts.query}"
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
