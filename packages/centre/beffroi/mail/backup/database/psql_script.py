"""What a restore writes to psql around a picture: schemas change places, rows become as of today, an event tells of it.

Rule:    each piece is part of the one transaction of the restore (``Postgresql._session``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO

import msgspec
from psycopg import sql

from beffroi.mail.backup.database.form import Rows
from beffroi.mail.backup.database.tables import ENDED, KEYS, RESTORED

SCHEMA = "public"
# Every table and view of one schema goes to another; what belongs to a table goes with it.
_MOVE = """
DO $move$
DECLARE one record;
BEGIN
  FOR one IN SELECT c.oid::regclass AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = '{of}' AND c.relkind IN ('r', 'p', 'v', 'm')
  LOOP EXECUTE format('ALTER TABLE %s SET SCHEMA {to}', one.name); END LOOP;
END $move$;
"""
_APPLY = """
DO $today$ BEGIN
  IF (SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = 'public' AND table_name = '{table}'
      AND column_name IN ({names})) = {count} THEN
    UPDATE public.{table} AS kept SET {sets} FROM pg_temp.today,
      jsonb_populate_record(NULL::public.{table}, today.value::jsonb) AS told
    WHERE today.name = '{name}' AND today.key = kept.{key};
  END IF;
END $today$;
"""


def move(script: IO[bytes], of: str, to: str) -> None:
    """One of both is the centre's own, the other is made or ends here."""
    if to != SCHEMA:
        script.write(f"CREATE SCHEMA {to};\n".encode())
    script.write(_MOVE.format(of=of, to=to).encode())
    if of != SCHEMA:
        script.write(f"DROP SCHEMA {of};\n".encode())


def set_today(script: IO[bytes], rows: Rows) -> None:
    """What is true today, in the rows of the picture."""
    script.write(b"CREATE TEMP TABLE today (name text, key text, value text) ON COMMIT DROP;\n")
    script.write(b"COPY pg_temp.today (name, key, value) FROM stdin;\n")
    for name, told in rows.items():
        for key, values in told.items():
            fields = (name, key, msgspec.json.encode(values).decode())
            script.write("\t".join(map(_escaped, fields)).encode() + b"\n")
    script.write(b"\\.\n")
    for kept in (*KEYS, *ENDED):
        script.write(
            _APPLY.format(
                table=kept.table,
                names=", ".join(f"'{one}'" for one in kept.columns),
                count=len(kept.columns),
                sets=", ".join(f"{one} = told.{one}" for one in kept.columns),
                name=kept.name,
                key=kept.key,
            ).encode()
        )


def tell(script: IO[bytes], event: Mapping[str, object]) -> None:
    """One event into the outbox that was put in place."""
    asked = sql.SQL("INSERT INTO public.outbox (kind, payload, created_at) VALUES ({}, {}, now());\n")
    told = asked.format(sql.Literal(RESTORED), sql.Literal(msgspec.json.encode(event).decode()))
    script.write(told.as_string(None).encode())


def _escaped(text: str) -> str:
    """As a field of COPY."""
    for one, other in (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r")):
        text = text.replace(one, other)
    return text
