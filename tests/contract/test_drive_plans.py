"""PostgreSQL's plans where much lies: with statistics and without, nothing is read but what was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from beffroi.drive.store import moments, schema, tree
from beffroi.drive.store.postgres import Connections, PostgresDatabase

from tests import drive_plans
from tests.drive_trees import NOW_S
from tests.fixtures_drive_store import SERVER, scratch_url

pytestmark = pytest.mark.skipif(not SERVER, reason="SQLite's plans do not depend on what lies there")
FOLDERS, FILES = 100, 100_000
_FILL = f"""
    INSERT INTO node SELECT 1000 + n, %s, 'f' || n, 1, 0, 1, 1000 + n, 1, '', '', '', '', 'f' || n
        FROM generate_series(1, {FOLDERS}) n;
    INSERT INTO node SELECT 10000 + n, 1001 + n %% {FOLDERS}, 'n' || n, 0, 10, 1, 200000 + n, 1, '', '', '', '',
        'n' || n FROM generate_series(1, {FILES}) n;
    INSERT INTO change SELECT 10000 + n, {NOW_S} + n / 100, 'created', 10000 + n, 1001 + n %% {FOLDERS}, 'n' || n, 0,
        10, 1, 0, 'p', 'd' FROM generate_series(1, {FILES}) n;
    INSERT INTO change SELECT 200000 + n, {NOW_S} + 2000 + n / 100, 'changed', 10000 + n, 1001 + n %% {FOLDERS},
        'n' || n, 0, 10, 1, 10000 + n, 'p', 'd' FROM generate_series(1, {FILES}) n;
    INSERT INTO version SELECT 10000 + n, 10000 + n, 10, 1, '', '', '', {NOW_S} FROM generate_series(1, {FILES}) n;
"""


@pytest.fixture(scope="module", params=["no statistics", "statistics"])
def filled(request: pytest.FixtureRequest) -> Iterator[PostgresDatabase]:
    with scratch_url() as url, ThreadPoolExecutor(2) as pool:
        connections = Connections(url)
        made = PostgresDatabase(connections, "col_test", pool)
        home = made.write(lambda w: tree.make_root(w, schema.HOME + "per_me", now_s=NOW_S))
        with psycopg.connect(url, autocommit=True) as server:
            server.execute("SET search_path TO col_test")
            for one in _FILL.split(";\n"):
                if one.strip():
                    server.execute(one, (home.id,) if "%s" in one else ())
            if request.param == "statistics":
                server.execute("ANALYZE")
        yield made
        connections.close()


class Explained:
    """A reading that asks for the plan of all it is asked."""

    def __init__(self, reading: Any) -> None:
        self._reading, self.whole = reading, []

    def one(self, sql: Any, parameters: Any = ()) -> Any:
        self._look(sql, parameters)
        return self._reading.one(sql, parameters)

    def all(self, sql: Any, parameters: Any = ()) -> Any:
        self._look(sql, parameters)
        return self._reading.all(sql, parameters)

    def _look(self, sql: str, parameters: Any) -> None:
        self.whole += [(table, sql) for table in drive_plans.reads(self._reading._on, sql, parameters)]


@pytest.mark.parametrize("after_s", [500, 1500, 2500, 2990])
def test_a_folder_as_it_was_is_read_by_its_own_rows(filled: PostgresDatabase, after_s: int) -> None:
    with filled.reading() as reading:
        explained = Explained(reading)
        moment = moments.Moment(explained, NOW_S + after_s)
        assert moment.node(1001) is not None
        found = moment.children(1001)
        assert len(found) == min(FILES, after_s * FOLDERS) / FOLDERS
    assert explained.whole == []


def test_a_plan_that_reads_an_index_from_end_to_end_is_noticed(filled: PostgresDatabase) -> None:
    with filled.reading() as reading:
        on: Any = reading._on  # type: ignore[attr-defined]
        assert drive_plans.reads(on, "SELECT COUNT(*) FROM change WHERE size_bytes = ?", (7,)) == ["change"]
        assert drive_plans.reads(on, "SELECT name FROM change ORDER BY number") == ["change"]
        assert drive_plans.reads(on, "SELECT name FROM change ORDER BY number LIMIT 5") == []
        assert drive_plans.reads(on, "SELECT MAX(number) FROM change") == []
