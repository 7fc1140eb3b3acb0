"""Rows of the centre's tables, written without Django: columns that a stand-in knows nothing of are empty."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from beffroi.core.planes.db import Database

NOWHERE = Path("/nonexistent")
"""Where nobody waits to be woken."""
_columns: dict[str, dict[str, object]] = {}


def insert(database: Database, table: str, **known: object) -> None:
    row = {**_empty(database, table), **known}
    database.execute(_statement(table, tuple(row)), tuple(row.values()))


def _empty(database: Database, table: str) -> dict[str, object]:
    if table not in _columns:
        rows = database.execute(f"PRAGMA table_info({table})")
        _columns[table] = {
            r[1]: "" if "char" in r[2] else "{}" if r[2] == "text" else 0 for r in rows if r[3]
        }
    return _columns[table]


@lru_cache(maxsize=64)
def _statement(table: str, columns: tuple[str, ...]) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
