"""What ``tests.drive_plans`` holds all tests to, it holds."""

from __future__ import annotations

from pathlib import Path

import pytest
from beffroi.drive.store import frozen, weights
from beffroi.drive.store.sqlite import SqliteDatabase

from tests import drive_plans
from tests.fixtures_drive_store import in_one_file

WHOLE = (
    "SELECT id FROM node WHERE sha256 = ?",
    "SELECT node FROM version v WHERE v.etag = ?",
    "DELETE FROM trash WHERE deleted_s < ?",
    "UPDATE change SET name = '' WHERE person_id = ?",
)
BY_INDEX = (
    "SELECT id FROM node WHERE sha256 = ? AND sha256 <> ''",
    "SELECT node FROM version v WHERE v.node = ?",
    "DELETE FROM trash WHERE root = ? AND deleted_s < ?",
    "SELECT c.number FROM change c JOIN node n ON n.id = c.node WHERE c.at_s > ?",
    "SELECT 1 FROM dav_lock LIMIT 1",
)


@pytest.mark.parametrize("sql", [*WHOLE, *BY_INDEX])
def test_a_plan_says_whether_a_large_table_is_read_whole(tmp_path: Path, sql: str) -> None:
    with in_one_file(tmp_path / "metadata.db") as database:
        writer = database._writer
        assert writer is not None
        assert bool(drive_plans.scans(writer, sql)) == (sql in WHOLE)


def test_a_statement_of_the_drive_that_reads_a_whole_table_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(database: SqliteDatabase) -> None:
        with database.reading() as reading:
            weights.drift(reading)
            frozen.count(reading, "")

    with in_one_file(tmp_path / "metadata.db") as database:
        look(database)
        monkeypatch.setattr(drive_plans, "SWEEPS", {})
        monkeypatch.setattr(drive_plans, "_seen", set())
        with pytest.raises(AssertionError, match=r"weights.py:drift reads all of node"):
            look(database)
