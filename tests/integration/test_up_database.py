"""The database at a start: one that a newer version has changed is not started on; what failed is said whole."""

from __future__ import annotations

import pytest
from beffroi.cli.prepare import DatabaseNewer, refuse_newer
from beffroi.supervise.preparation import last_words
from django.db.migrations.recorder import MigrationRecorder

pytestmark = pytest.mark.usefixtures("database")


def test_a_database_that_a_newer_version_has_changed_is_refused() -> None:
    refuse_newer()
    applied = MigrationRecorder.Migration.objects
    applied.create(app="decisions", name="0001_given_up_long_ago")
    applied.create(app="of_another_time", name="0001_initial")
    refuse_newer()
    applied.create(app="decisions", name="9999_later")
    with pytest.raises(DatabaseNewer, match=r"\(decisions\.9999_later\)"):
        refuse_newer()


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
