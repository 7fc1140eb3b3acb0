"""Django's SQLite with one difference: how a transaction waits for the write lock (core/planes/write_lock.py)."""

from __future__ import annotations

from django.db.backends.sqlite3 import base

from beffroi.core.planes import write_lock


class DatabaseWrapper(base.DatabaseWrapper):
    def _start_transaction_under_autocommit(self) -> None:
        self.ensure_connection()
        with self.wrap_database_errors:
            write_lock.begin(self.connection)
