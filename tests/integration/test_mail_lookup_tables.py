"""What Postfix looks up in SQLite files while they are written: by its own program and as its own user. Needs root."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from beffroi.mail import lookup_tables
from beffroi.mail.gate.projected import Projected, opened

ADDRESSES = [f"agent-{number}@saulieu.test" for number in range(200)]
LOOK_UPS = 40
"""Runs of postmap, each of all addresses: without WAL the first one failed each time that it was tried."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that Postfix's user may pass through, and not write to."""
    if os.geteuid() != 0:
        pytest.skip("another user looks up")
    made = Path(tempfile.mkdtemp(prefix="lookup-"))
    made.chmod(0o711)
    (made / "main.cf").write_text("compatibility_level = 3.9\n")
    (made / "mailbox.cf").write_text(
        f"dbpath = {made / 'routes.sqlite'}\nquery = SELECT address FROM mailbox WHERE address = '%s'\n"
    )
    for one in made.iterdir():
        one.chmod(0o644)  # whatever the umask of who runs this
    yield made
    shutil.rmtree(made)


@pytest.fixture
def routes(folder: Path) -> Path:
    path = folder / "routes.sqlite"
    lookup_tables.give(path, uid=os.getuid(), gid=os.getgid(), mode=0o644)
    with lookup_tables.writing(path) as connection:
        connection.execute("CREATE TABLE mailbox (address TEXT PRIMARY KEY) WITHOUT ROWID")
        connection.executemany("INSERT INTO mailbox VALUES (?)", [(one,) for one in ADDRESSES])
    return path


def found(routes: Path) -> tuple[int, str]:
    """How many of the addresses Postfix's user finds, and what it complains of."""
    as_postfix = ("setpriv", "--reuid=postfix", "--regid=postfix", "--clear-groups")
    asked = (*as_postfix, "postmap", "-c", routes.parent, "-q", "-", f"sqlite:{routes.parent / 'mailbox.cf'}")
    ended = subprocess.run(asked, input="\n".join(ADDRESSES), capture_output=True, text=True, check=False)
    return ended.stdout.count("\n"), ended.stderr


def test_no_look_up_meets_a_write(routes: Path) -> None:
    done = threading.Event()
    written = 0

    def write() -> None:
        nonlocal written
        while not done.is_set():
            with lookup_tables.writing(routes) as connection:
                connection.execute("DELETE FROM mailbox WHERE address = 'new@saulieu.test'")
                connection.execute("INSERT INTO mailbox VALUES ('new@saulieu.test')")
            written += 1

    with lookup_tables.held([routes]):
        writer = threading.Thread(target=write)
        writer.start()
        try:
            answers = {found(routes) for _ in range(LOOK_UPS)}
        finally:
            done.set()
            writer.join()
    assert answers == {(len(ADDRESSES), "")}
    assert written > LOOK_UPS


def test_look_ups_go_on_while_all_python_is_stopped(routes: Path) -> None:
    with lookup_tables.held([routes]):
        pass
    with lookup_tables.writing(routes) as connection:
        connection.execute("DELETE FROM mailbox WHERE address = ?", (ADDRESSES[0],))
    assert found(routes) == (len(ADDRESSES) - 1, "")


def test_what_was_taken_out_stays_nowhere(routes: Path) -> None:
    with lookup_tables.held([routes]):
        with lookup_tables.writing(routes) as connection:
            connection.execute("DELETE FROM mailbox WHERE address = ?", (ADDRESSES[7],))
        left = b"".join(path.read_bytes() for path in routes.parent.glob("routes.sqlite*"))
    assert ADDRESSES[8].encode() in left
    assert ADDRESSES[7].encode() not in left


def test_the_mail_door_reads_again_what_another_reader_keeps_in_the_log(
    routes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookup_tables, "BUSY_TIMEOUT_S", 0.1)

    def count(path: Path) -> int:
        with opened(path) as connection:
            return int(connection.execute("SELECT count(*) FROM mailbox").fetchone()[0])

    projected = Projected(routes, "mailboxes", count)
    with lookup_tables.held([routes]), closing(sqlite3.connect(routes, isolation_level=None)) as reader:
        assert projected.current() == len(ADDRESSES)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM mailbox").fetchone()
        with lookup_tables.writing(routes) as connection:
            connection.execute("DELETE FROM mailbox WHERE address = ?", (ADDRESSES[0],))
        assert projected.current() == len(ADDRESSES) - 1
