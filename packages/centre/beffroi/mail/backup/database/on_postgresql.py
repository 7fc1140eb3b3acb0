"""Pictures of a database on a PostgreSQL server, and back. No Django.

Rule:    pg_dump, and what is copied apart from it (tables with keys, without these), see one snapshot of the server.
         The centre's own schema alone: metadata of the drive, where they lie there, have a backup of their own.
         A drill loads a picture where a role may make a database: into one of its own, with all references.
Crash:   a restore is one transaction, what was there before moves to a schema of its own in it. psql ends without a
         COMMIT where nobody tells it to.
Secrets: the password is in the environment of pg_dump, pg_restore and psql, as the same user's, never on a command
         line.
Source:  postgresql.org/docs/17, pg_dump, pg_restore, "Snapshot Synchronization", "Row Security Policies".
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from beffroi.lib import clock
from beffroi.lib.errors import Unavailable
from beffroi.mail.backup.database import form, psql_script
from beffroi.mail.backup.database.form import (
    About,
    NothingReplaced,
    NotLoaded,
    PictureDamaged,
    PictureFailed,
    Rows,
)
from beffroi.mail.backup.database.psql_script import SCHEMA
from beffroi.mail.backup.database.tables import AUDIT_HEAD, ENDED, KEYS, LEFT_OUT, Kept

FILE = "database.dump"
INSTALLED = Path("/usr/lib/postgresql")
CONNECT_S = 10
WAIT_S = 20
_OPTIONS = {
    "beffroi.collectivite": "",
    "lock_timeout": f"{WAIT_S}s",
    "timezone": "UTC",
    "max_parallel_workers_per_gather": "0",
}
"""Of each session. Behind a wall COPY is a query, and several workers would give its rows in another order each time:
restic would find nothing that it has."""
_APART = {kept.table: kept.columns for kept in KEYS}
_REPLACED = "replaced\\_%"
_EVERYTHING = """
SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relkind = 'r' ORDER BY 1
"""


class ToolsMissing(Unavailable):
    """{} is not on this machine, or does not start ({}). Next: apt install postgresql-client"""

    code = "backup.database_tools"


class Postgresql:
    name = "postgresql"

    def __init__(self, url: str, password: str) -> None:
        """``url``: without the password."""
        self._url = url
        self._environment = {
            "PATH": "/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "PGCONNECT_TIMEOUT": str(CONNECT_S),
            "PGOPTIONS": " ".join(f"-c {name}={value}" for name, value in _OPTIONS.items()),
            **({"PGPASSWORD": password} if password else {}),
        }
        self._password = password
        self._bin: Path | None = None

    def take(self, folder: Path) -> tuple[About, Rows]:
        with self._connected() as connection, connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            snapshot = str(_one(connection, "SELECT pg_export_snapshot()"))
            apart = [f"--exclude-table-data={SCHEMA}.{one}" for one in (*_APART, *LEFT_OUT)]
            self._dump(
                "--format=custom", "--compress=0", f"--snapshot={snapshot}", *apart, f"--file={folder / FILE}"
            )
            there = _columns(connection)
            columns = {table: there[table] for table in _APART if table in there}
            for table, names in columns.items():
                _copy_without_keys(connection, table, names, folder / f"{table}.copy")
            position, head = connection.execute(AUDIT_HEAD).fetchone() or (0, "")
            about = About(
                self.name,
                clock.epoch_s(),
                int(str(_one(connection, "SELECT COALESCE(MAX(epoch), 0) FROM public.feed_channel"))),
                _counts(connection) | dict.fromkeys(LEFT_OUT, 0),
                columns,
                int(position),
                str(head),
            )
            return about, _rows(connection)

    def prove(self, folder: Path, about: About) -> bool:
        """Loaded into a database of its own, which goes again; where the role may make none, read and counted."""
        with self._connected() as connection:
            may = _one(
                connection, "SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user"
            )
        if not may:
            self._read(folder, about)
            return False
        with self._scratch() as scratch:
            try:
                with scratch._session() as script:
                    scratch._fill(script, folder, about)
            except NotLoaded as error:
                raise PictureDamaged(error) from None
            with scratch._connected() as connection:
                _compare(_counts(connection), about)
        return True

    def load(self, folder: Path, about: About, rows: Rows, event: Mapping[str, object]) -> str:
        self._read(folder, about)
        aside = form.moment_name(clock.now())
        with self._session() as script:
            psql_script.move(script, SCHEMA, aside)
            self._fill(script, folder, about)
            psql_script.set_today(script, rows)
            psql_script.tell(script, event)
        return aside

    def undo(self, event: Mapping[str, object]) -> str:
        found = self._replaced()
        if not found:
            raise NothingReplaced
        ended = {kept.name for kept in ENDED}
        rows = {name: rows for name, rows in self.rows().items() if name in ended}
        with self._session() as script:
            psql_script.move(script, SCHEMA, form.moment_name(clock.now()))
            psql_script.move(script, found[-1], SCHEMA)
            psql_script.set_today(script, rows)
            psql_script.tell(script, event)
        return found[-1]

    def rows(self) -> Rows:
        try:
            with self._connected() as connection:
                return _rows(connection)
        except PictureFailed:
            return {}

    def forget(self, before: str) -> int:
        old = [one for one in self._replaced() if one < before]
        if old:
            with self._connected() as connection:
                for one in old:
                    connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(one)))
        return len(old)

    @contextmanager
    def _scratch(self) -> Iterator[Postgresql]:
        """An empty database on the same server, of a name that no other centre's has; gone afterwards.

        Errors: PictureFailed.
        """
        with self._connected() as connection:
            number = _one(connection, "SELECT oid FROM pg_database WHERE datname = current_database()")
            name = f"beffroi_drill_{number}"
            drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            connection.execute(drop)  # of a drill that was killed
            asked = sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING {} LOCALE 'C'")
            encoding = connection.info.parameter_status("server_encoding")
            connection.execute(asked.format(sql.Identifier(name), sql.Literal(encoding)))
            try:
                yield Postgresql(make_conninfo(self._url, dbname=name), self._password)
            finally:
                connection.execute(drop)

    def _read(self, folder: Path, about: About) -> None:
        """All of it is unpacked, and the rows of each table are counted. Errors: ToolsMissing, PictureDamaged."""
        counts = dict.fromkeys(about.counts, 0)
        with self._restoring(folder, "data") as script:
            table = ""
            for line in script:
                if table:
                    if line == b"\\.\n":
                        table = ""
                    else:
                        counts[table] = counts.get(table, 0) + 1
                elif line.startswith(b"COPY public."):
                    table = line.split()[1].decode().removeprefix(f"{SCHEMA}.").strip('"')
        for table in about.columns:
            with (folder / f"{table}.copy").open("rb") as lines:
                counts[table] = sum(1 for _ in lines)
        _compare(counts, about)

    def _fill(self, script: IO[bytes], folder: Path, about: About) -> None:
        """A picture into an empty schema, references last."""
        for section in ("pre-data", "data"):
            self._into(script, folder, section)
        for table, columns in about.columns.items():
            names = ", ".join(columns)
            script.write(f"COPY {SCHEMA}.{table} ({names}) FROM stdin;\n".encode())
            with (folder / f"{table}.copy").open("rb") as source:
                shutil.copyfileobj(source, script)
            script.write(b"\\.\n")
        self._into(script, folder, "post-data")

    def _replaced(self) -> list[str]:
        asked: LiteralString = "SELECT nspname FROM pg_namespace WHERE nspname LIKE %s ORDER BY 1"
        with self._connected() as connection:
            return [str(row[0]) for row in connection.execute(asked, (_REPLACED,))]

    @contextmanager
    def _connected(self) -> Iterator[psycopg.Connection]:
        """Errors: PictureFailed."""
        try:
            with psycopg.connect(
                self._url,
                password=self._password or None,
                autocommit=True,
                connect_timeout=CONNECT_S,
                options=self._environment["PGOPTIONS"],
            ) as connection:
                yield connection
        except psycopg.Error as error:
            raise PictureFailed(_first(str(error))) from None

    def _program(self, name: str) -> str:
        """Of the server's own version where it is installed: a newer one writes what an older server does not know, an
        older one reads no newer server. Debian keeps each version's in a directory of its own."""
        if self._bin is None:
            with self._connected() as connection:
                self._bin = INSTALLED / str(connection.info.server_version // 10000) / "bin"
        return str(self._bin / name) if (self._bin / name).exists() else name

    def _dump(self, *words: str) -> None:
        """Errors: ToolsMissing, PictureFailed."""
        # Policies bind the owner, too; with no collectivité chosen they let everything pass.
        command = (self._program("pg_dump"), f"--dbname={self._url}", f"--schema={SCHEMA}", "--enable-row-security",
                   "--no-owner", "--no-privileges", *words)  # fmt: skip
        try:
            done = subprocess.run(
                command, env=self._environment, capture_output=True, text=True, errors="replace", check=False
            )
        except OSError as error:
            raise ToolsMissing(command[0], error.strerror) from None
        if done.returncode:
            raise PictureFailed(_first(done.stderr))

    @contextmanager
    def _restoring(self, folder: Path, section: str) -> Iterator[IO[bytes]]:
        """The dump as a script for psql. Errors: ToolsMissing, PictureDamaged."""
        command = (self._program("pg_restore"), f"--section={section}", f"--schema={SCHEMA}", "--enable-row-security",
                   "--no-owner", "--no-privileges", "--file=-", str(folder / FILE))  # fmt: skip
        with tempfile.TemporaryFile() as said:
            with self._started(command, stdout=subprocess.PIPE, stderr=said) as process:
                assert process.stdout is not None
                yield process.stdout
            if process.returncode:
                raise PictureDamaged(_read(said))

    def _into(self, script: IO[bytes], folder: Path, section: str) -> None:
        with self._restoring(folder, section) as source:
            shutil.copyfileobj(source, script)

    @contextmanager
    def _session(self) -> Iterator[IO[bytes]]:
        """One transaction that a script writes; it is committed when the block has ended.

        Errors: ToolsMissing, NotLoaded, and what the block raises: then nothing was changed.
        """
        command = (
            self._program("psql"),
            "--no-psqlrc",
            "--quiet",
            "--set=ON_ERROR_STOP=1",
            "--file=-",
            f"--dbname={self._url}",
        )
        with tempfile.TemporaryFile() as said:
            process = self._started(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said)
            assert process.stdin is not None
            try:
                process.stdin.write(b"BEGIN;\n")
                yield process.stdin
                process.stdin.write(b"COMMIT;\n")
                process.stdin.close()
            except BrokenPipeError:
                pass  # it has ended, and says why
            except BaseException:
                process.kill()
                raise
            finally:
                process.wait()
            if process.returncode:
                raise NotLoaded(_read(said))

    def _started(self, command: Sequence[str], **how: Any) -> subprocess.Popen[bytes]:
        """Errors: ToolsMissing."""
        try:
            return subprocess.Popen(command, env=self._environment, **how)
        except OSError as error:
            raise ToolsMissing(command[0], error.strerror) from None


def _compare(counts: Mapping[str, int], about: About) -> None:
    """Errors: PictureDamaged."""
    for table, number in about.counts.items():
        if counts.get(table, 0) != number:
            raise PictureDamaged(f"{table} has {counts.get(table, 0)} rows of {number}")


def _one(connection: psycopg.Connection, asked: LiteralString) -> object:
    row = connection.execute(asked).fetchone()
    assert row is not None
    return row[0]


def _counts(connection: psycopg.Connection) -> dict[str, int]:
    counted = sql.SQL("SELECT COUNT(*) FROM {}")
    return {
        str(name): int(str(next(iter(connection.execute(counted.format(sql.Identifier(SCHEMA, name)))))[0]))
        for (name,) in connection.execute(_EVERYTHING, (SCHEMA,)).fetchall()
    }


def _columns(connection: psycopg.Connection) -> dict[str, list[str]]:
    """Of each table, in its own order."""
    asked: LiteralString = (
        "SELECT table_name::text, array_agg(column_name::text ORDER BY ordinal_position)"
        " FROM information_schema.columns WHERE table_schema = %s GROUP BY table_name"
    )
    return dict(connection.execute(asked, (SCHEMA,)).fetchall())


def _copy_without_keys(
    connection: psycopg.Connection, table: str, columns: Sequence[str], path: Path
) -> None:
    keys = _APART[table]
    chosen = sql.SQL(", ").join(sql.SQL("''") if one in keys else sql.Identifier(one) for one in columns)
    asked = sql.SQL("COPY (SELECT {} FROM {}) TO STDOUT").format(chosen, sql.Identifier(SCHEMA, table))
    with connection.cursor() as cursor, cursor.copy(asked) as copy, path.open("wb") as file:
        for piece in copy:
            file.write(piece)


def _rows(connection: psycopg.Connection) -> Rows:
    """A database of before some columns says nothing of them."""
    there = _columns(connection)
    return {
        kept.name: dict(_of(connection, kept))
        for kept in (*KEYS, *ENDED)
        if set(kept.columns) <= set(there.get(kept.table, ()))
    }


def _of(connection: psycopg.Connection, kept: Kept) -> Iterator[tuple[str, dict[str, Any]]]:
    pairs = ", ".join(f"'{one}', {one}" for one in kept.columns)
    asked = f"SELECT {kept.key}, jsonb_build_object({pairs}) FROM public.{kept.table} WHERE {kept.where}"  # noqa: S608 - constants of ``tables``
    for key, values in connection.execute(asked.encode()):
        yield str(key), dict(values)


def _read(said: IO[bytes]) -> str:
    said.seek(0)
    return _first(said.read().decode("utf-8", "replace"))


def _first(said: str) -> str:
    """What a program, or the server, said first: later lines are of where, or follow from it."""
    found = [line for line in said.strip().splitlines() if "rror:" in line or "ERROR" in line]
    return (found or said.strip().splitlines() or ["without a word"])[0][:300]
