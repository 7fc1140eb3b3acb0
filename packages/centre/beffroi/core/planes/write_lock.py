"""SQLite's one write lock, asked for every half millisecond.

Reason:  SQLite's own waiting sleeps longer and longer, up to 100 ms between two attempts, so that a writer without
         pause starves the others for seconds. Figures: docs/internals/data.md. Threads of one process ask one after
         another: one that writes without a pause would be back sooner than the others' pause is over.
Process: every one that writes: Django through ``beffroi.settings.sqlite``, the planes through ``planes.db``.
Fails:   sqlite3.OperationalError (SQLITE_BUSY) when the lock is not to be had within WAIT_S.
"""

from __future__ import annotations

import sqlite3
import threading
import time

WAIT_S = 10.0
PAUSE_S = 0.0005
_next = threading.Lock()
"""Held by the thread of this process that asks: one that has just committed asks after it."""


def begin(connection: sqlite3.Connection) -> None:
    """Begin a transaction that holds the write lock."""
    end = time.monotonic() + WAIT_S
    is_next = _next.acquire(timeout=WAIT_S)
    try:
        _begin(connection, end)
    finally:
        if is_next:
            _next.release()


def _begin(connection: sqlite3.Connection, end: float) -> None:
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        while True:
            try:
                connection.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                    raise
            time.sleep(PAUSE_S)
    finally:
        # Statements outside of transactions wait in SQLite's own way.
        connection.execute(f"PRAGMA busy_timeout = {int(WAIT_S * 1000)}")
