"""Many collectivités in one process: a look-up of an open one, what is closed and when, what opening asks for."""

from __future__ import annotations

import resource
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest
from beffroi.drive.following import Rested
from beffroi.drive.store import commune, keys, look, schema, tree
from beffroi.drive.store.commune import FILES, IDLE_S, Communes
from beffroi.drive.store.database import Database, MetadataMissing
from beffroi.drive.store.preparing import prepare
from beffroi.drive.store.sqlite import Connection
from beffroi.drive.store.writing import Session
from beffroi.lib import clock
from beffroi.lib.ids import new_id
from psycopg import sql

from tests.drive_trees import NOW_S, Open
from tests.fixtures_drive import new_config

pytest_plugins = ["tests.fixtures_drive_store"]


def _root(database: Database) -> int:
    return database.write(lambda w: tree.make_root(w, schema.COMMON, now_s=NOW_S)).id


def files(below: str = "") -> int:
    """How many files this process has open, of all or of a directory."""
    found = 0
    for one in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # it was closed meanwhile
            found += str(one.readlink()).startswith(below)
    return found


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as made:
        yield made


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The collectivités that were opened, in order."""
    names: list[str] = []
    before = Communes._opened

    def noted(self: Communes, collectivite_id: str, *, begins: bool) -> Database:
        names.append(collectivite_id)
        return before(self, collectivite_id, begins=begins)

    monkeypatch.setattr(Communes, "_opened", noted)
    return names


def test_collectivites_used_in_turn_are_opened_once_each(
    tmp_path: Path, backend_url: str, pool: ThreadPoolExecutor, opened: list[str]
) -> None:
    communes, ids = Communes(tmp_path, pool, backend_url, most_open=20), [new_id("col") for _ in range(20)]
    for _ in range(3):
        for one in ids:
            _root(communes.metadata(one))
    assert opened == ids
    communes.close()


def _lose(directory: Path, backend_url: str, collectivite_id: str) -> None:
    for path in (directory / collectivite_id).glob("metadata.db*"):
        path.unlink()
    if backend_url.startswith("postgresql:"):
        with psycopg.connect(backend_url, autocommit=True) as own:
            own.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(collectivite_id)))


def test_what_is_lost_beside_its_keys_begins_anew_for_a_restore_alone(
    tmp_path: Path, backend_url: str, pool: ThreadPoolExecutor
) -> None:
    config, one = new_config(tmp_path), new_id("col")
    directory = config.state / "drive"
    communes = Communes(directory, pool, backend_url)
    first = communes.metadata(one)
    root = _root(first)
    with first.reading() as reading:
        said = reading.all("SELECT value FROM meta WHERE name = 'fingerprint'")
    keys.make(config, one)
    communes.close()
    assert _root(communes.metadata(one)) == root, "what is there is there"
    communes.close()
    _lose(directory, backend_url, one)
    for _ in range(2):
        with pytest.raises(MetadataMissing):
            communes.metadata(one)
    again = communes.metadata(one, begins=True)
    with again.reading() as reading:
        assert reading.all("SELECT value FROM meta WHERE name = 'fingerprint'") != said
    assert _root(again) != root, "no number that devices know"
    assert communes.metadata(one) is again
    communes.close()


def test_what_was_asked_for_longest_ago_is_closed_first(
    tmp_path: Path, backend_url: str, pool: ThreadPoolExecutor, opened: list[str]
) -> None:
    communes = Communes(tmp_path, pool, backend_url, most_open=2)
    a, b, c = (new_id("col") for _ in range(3))
    for one in (a, b, a, c, a, b):
        _root(communes.metadata(one))
    assert opened == [a, b, c, b]
    communes.close()


def test_what_nobody_asked_for_since_a_while_is_closed(
    tmp_path: Path,
    backend_url: str,
    pool: ThreadPoolExecutor,
    opened: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_s = [1000.0]
    monkeypatch.setattr(clock, "steady_s", lambda: now_s[0])
    communes, a, b = Communes(tmp_path, pool, backend_url), new_id("col"), new_id("col")
    for one in (a, b):
        communes.metadata(one)
    now_s[0] += IDLE_S + 1
    communes.metadata(b)
    communes.metadata(a)
    assert opened == [a, b, a]
    communes.close()


def test_what_is_read_or_written_is_not_closed(
    tmp_path: Path, backend_url: str, pool: ThreadPoolExecutor, opened: list[str]
) -> None:
    communes, a, b = Communes(tmp_path, pool, backend_url, most_open=1), new_id("col"), new_id("col")
    root = _root(communes.metadata(a))
    with communes.metadata(a).reading() as reading:
        assert communes.metadata(a).rest() is None
        _root(communes.metadata(b))
        assert look.node(reading, root) is not None
    communes.metadata(a)
    assert opened == [a, b]
    communes.close()


def test_who_still_holds_closed_metadata_loses_nothing(
    tmp_path: Path, backend_url: str, pool: ThreadPoolExecutor
) -> None:
    communes, a = Communes(tmp_path, pool, backend_url, most_open=1), new_id("col")
    held = communes.metadata(a)
    _root(held)
    _root(communes.metadata(new_id("col")))
    assert communes.metadata(a) is not held
    with held.reading() as reading:
        assert look.root(reading, schema.COMMON) is not None
    held.write(lambda w: tree.make_root(w, schema.TRASH, now_s=NOW_S))
    with communes.metadata(a).reading() as reading:
        assert look.root(reading, schema.TRASH) is not None
    held.close()
    communes.close()


def test_an_open_one_takes_no_more_files_than_it_says_and_gives_them_back(
    tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    communes = Communes(tmp_path, pool)
    for one in [new_id("col") for _ in range(10)]:
        database = communes.metadata(one)
        _root(database)
        with database.reading(), database.reading():
            pass
    assert 0 < files(str(tmp_path)) <= 10 * FILES
    communes.close()
    assert not files(str(tmp_path))


def test_a_process_that_may_open_few_files_keeps_few_collectivites_open(
    tmp_path: Path, pool: ThreadPoolExecutor, opened: list[str]
) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 40 + files() // FILES  # tests before this one may have left some open
    resource.setrlimit(resource.RLIMIT_NOFILE, (2 * most * FILES, before[1]))
    try:
        communes = Communes(tmp_path, pool, most_open=2 * most)
        ids = [new_id("col") for _ in range(most + 20)]
        for one in ids:
            _root(communes.metadata(one))
        assert len(opened) == most + 20
        for one in ids[-most:]:
            communes.metadata(one)
        assert len(opened) == most + 20
        communes.metadata(ids[0])
        assert opened[most + 20 :] == [ids[0]]
        communes.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_process_may_open_as_many_files_as_the_machine_allows() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1] // 2, before[1]))
    try:
        commune.allow_files()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


class _Counted:
    """A session that notes the statements that change something."""

    def __init__(self, session: Session) -> None:
        self._session, self.said = session, list[str]()
        self.one, self.all, self.many = session.one, session.all, session.many

    def run(self, sql: LiteralString, parameters: Sequence[object] = ()) -> int:
        self.said.append(sql)
        return self._session.run(sql, parameters)


def test_metadata_that_have_all_tables_are_opened_without_asking_for_each(opens: Open) -> None:
    opens().close()
    session = opens()._session()
    session.begin()
    try:
        types = ("BLOB", "INTEGER") if isinstance(session, Connection) else ("BYTEA", "BIGINT")
        for mark, at_least, at_most in (
            (schema.MARK, 1, 1),
            ("older", len(schema.TABLES), 2 * len(schema.TABLES)),
        ):
            session.run("UPDATE meta SET value = ? WHERE name = 'tables'", (mark,))
            counted: Any = _Counted(session)
            prepare(counted, bytes_type=types[0], key_type=types[1], usual=None, clustered="")
            assert at_least <= len(counted.said) <= at_most
            assert session.one("SELECT value FROM meta WHERE name = 'tables'") == (schema.MARK,)
    finally:
        session.rollback()


def test_a_sweep_passes_over_what_was_not_written_since_nothing_was_left_there(
    tmp_path: Path, backend_url: str, pool: ThreadPoolExecutor
) -> None:
    """In PostgreSQL only a look tells, and all are looked at."""
    communes = Communes(tmp_path, pool, backend_url)
    ids = sorted(new_id("col") for _ in range(3))
    for one in ids:
        tmp_path.joinpath(one).mkdir()
        _root(communes.metadata(one))
    is_told = not backend_url.startswith("postgresql:")
    rested = Rested(communes)
    assert rested.others() == ids
    for one in ids:
        rested.keep(one, communes.state(one))
    assert rested.others() == ([] if is_told else ids)
    communes.metadata(ids[0]).write(lambda w: tree.make_root(w, schema.TRASH, now_s=NOW_S))
    assert rested.others() == (ids[:1] if is_told else ids)
    assert rested.others() == (ids[:1] if is_told else ids), "until nothing is left there"
    communes.close()
    for one in ids:
        rested.keep(one, communes.state(one))
    again = Communes(tmp_path, pool, backend_url)
    for one in ids:
        with again.metadata(one).reading() as reading:
            assert look.root(reading, schema.COMMON) is not None
    assert rested.others() == ([] if is_told else ids), "who reads changes nothing"
    again.close()
    assert rested.others() == ([] if is_told else ids)
