"""The database at a start: one that a newer version has changed is not started on; what failed is said whole."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from beffroi.cli.prepare import DatabaseNewer, due_migrations
from beffroi.supervise import preparation
from beffroi.supervise.preparation import last_words
from django.db.migrations.recorder import MigrationRecorder

from tests.database_place import machine

NOBODY = 65534
REFUSE = """
import sys
from pathlib import Path
from beffroi.cli import prepare
prepare.refuse_unwritable(Path(sys.argv[1]))
"""
pytestmark = pytest.mark.usefixtures("database")


def test_a_database_that_a_newer_version_has_changed_is_refused() -> None:
    due_migrations()
    applied = MigrationRecorder.Migration.objects
    applied.create(app="decisions", name="0001_given_up_long_ago")
    applied.create(app="of_another_time", name="0001_initial")
    due_migrations()
    applied.create(app="decisions", name="9999_later")
    with pytest.raises(DatabaseNewer, match=r"\(decisions\.9999_later\)"):
        due_migrations()


def test_a_database_that_root_restored_is_named() -> None:
    user = NOBODY if os.geteuid() == 0 else os.geteuid()
    with tempfile.TemporaryDirectory(prefix="bfdb-") as place:
        restored = Path(place, "beffroi.sqlite")
        restored.touch(0o444)
        os.chown(place, user, -1)
        command = (sys.executable, "-c", REFUSE, place)
        done = subprocess.run(command, user=user, check=False, capture_output=True, text=True)
    assert f"{restored} cannot be written by this user" in done.stderr


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("", ""),
        ("Traceback:\n  File x\nOSError: no disk\n", "OSError: no disk"),
        ("Traceback:\n  File x\nError: no server\n\tIs it running?\n", "Error: no server Is it running?"),
        ("a warning\nbeffroi: A newer one.\n", "A newer one."),
    ],
)
def test_the_last_message_is_said_whole(said: str, shown: str) -> None:
    assert last_words(said) == shown


def test_a_damaged_database_is_said_with_the_next_step(tmp_path: Path) -> None:
    config = machine(tmp_path / "state", url="", place=tmp_path / "place").config
    (config.state / "db" / "beffroi.sqlite").write_text("no database\n" * 100)
    said = r"nothing was started.*file is not a database\. Next: docs/runbooks/restore-database\.md"
    with pytest.raises(preparation.DatabaseFailed, match=said):
        preparation.prepare_database(config, demo="", before_change=lambda _: None)
    assert (config.state / "db" / "beffroi.sqlite").read_text() == "no database\n" * 100
