"""The second wall between communes: PostgreSQL itself hides the rows of every other collectivité.

Purpose: a query that forgets its filter finds nothing of another commune. The first wall stays ``access_*``.
Process: web, for as long as it serves a person who is signed in; every other process serves all of them.
Hostile: a bug of ours. Not SQL by an attacker: who can send statements can lift the limit.
Fails:   closed for rows (also those written); open where the centre's role is a superuser, of which each start warns.
Source:  docs/decisions/0012-row-level-security.md; PostgreSQL 17, chapter 5.9.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.db import DatabaseError, connection
from django.db.backends.base.base import BaseDatabaseWrapper

log = logging.getLogger("beffroi.row_security")
PUBLIC_TABLES = ("collectivite_code", "domain")
"""Which codes and domains a commune has is no secret, and one commune's mail may not block another's site."""
_TO_WALL = """
SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'collectivite_id'
WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace
  AND NOT c.relforcerowsecurity AND c.relname <> ALL (%s)
"""
# Rows that name nobody belong to the whole département. The sub-select is asked once a query, not once a row.
_POLICY = """
CREATE POLICY own_collectivite ON {0} USING (
  collectivite_id IS NULL
  OR COALESCE((SELECT current_setting('beffroi.collectivite', true)), '') IN ('', collectivite_id)
);
ALTER TABLE {0} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY
"""
_limit: ContextVar[str] = ContextVar("row_security_limit", default="")


@contextmanager
def limited_to(collectivite_id: str) -> Iterator[None]:
    """Until the end of the block the database shows this collectivité only; SQLite has no such thing."""
    if _limit.get() == collectivite_id:
        yield
        return
    token = _limit.set(collectivite_id)
    _tell(connection)
    try:
        yield
    finally:
        _limit.reset(token)
        try:
            _tell(connection)
        except DatabaseError:
            connection.close()  # the next one begins with the limit of its own request


@contextmanager
def unlimited() -> Iterator[None]:
    """For what must look across communes on someone's behalf: counts, and a person's own memberships."""
    with limited_to(""):
        yield


def build(**_: Any) -> None:
    """Put the wall around every table with a column ``collectivite_id``; after each migration."""
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute(_TO_WALL, [list(PUBLIC_TABLES)])
        for (table,) in cursor.fetchall():
            cursor.execute(_POLICY.format(connection.ops.quote_name(table)))
        cursor.execute("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user")
        if cursor.fetchone() == (True,):
            log.warning("the database role passes through row level security: give the centre one without")


def tell_new_connection(*, connection: BaseDatabaseWrapper, **_: Any) -> None:
    """A connection that is opened in the middle of a request has the limit of that request."""
    if _limit.get():
        _tell(connection)


def _tell(database: BaseDatabaseWrapper) -> None:
    if database.vendor == "postgresql":
        with database.cursor() as cursor:
            cursor.execute("SELECT set_config('beffroi.collectivite', %s, false)", [_limit.get()])
