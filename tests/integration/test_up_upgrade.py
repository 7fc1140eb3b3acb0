"""A version that changes the database: it is backed up before, or stays as it is; the way back is a restore."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from beffroi.cli import up
from beffroi.core.planes.db import connect
from beffroi.supervise import preparation

from tests.database_place import Machine, machine, own_database, plant
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.slow


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Machine]:
    """With the database of a former version: a table fewer, and columns fewer of those that a backup tells of."""
    with own_database() as url:
        made = machine(tmp_path / "state", url=url, place=tmp_path / "place")
        plant(made)
        environment = os.environ | {
            "BEFFROI_STATE": str(made.config.state),
            "DJANGO_SETTINGS_MODULE": "beffroi.settings.base",
        }
        command = (sys.executable, "-m", "django", "migrate", "identity", "0009")
        subprocess.run(command, env=environment, timeout=PATIENCE_S, capture_output=True, check=True)
        yield made


def is_changed(made: Machine) -> bool:
    with closing(connect(made.config.database)) as database:
        try:
            database.execute("SELECT erased_at FROM administrator")
        except (sqlite3.OperationalError, psycopg.errors.UndefinedColumn):
            return False
    return True


def test_a_database_is_backed_up_before_a_new_version_changes_it_and_comes_back(opened: Machine) -> None:
    key = opened.mailbox("mbx_1")
    heard: list[str] = []

    def before(due: Sequence[str]) -> None:
        heard.extend(due)
        assert not is_changed(opened)
        up._back_up(opened.config, due, False)

    assert not preparation.prepare_database(opened.config, demo="", before_change=before)
    assert heard == ["identity.0010_login_flow", "identity.0011_administrator_closed"]
    assert is_changed(opened) and opened.key("mbx_1") == key
    preparation.prepare_database(opened.config, demo="", before_change=before)
    assert len(heard) == 2, "a start that changes nothing makes no backup"
    assert len(opened.databases.store.snapshots()) == 1

    opened.said("database", "restore", "--yes")
    assert not is_changed(opened) and opened.key("mbx_1") == key
    preparation.prepare_database(opened.config, demo="", before_change=before)
    assert is_changed(opened)


def test_a_database_that_cannot_be_backed_up_is_changed_by_an_express_word_alone(
    opened: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    done = opened.run("prepare", text="")
    assert done.returncode == 1 and "nothing was changed" in done.stderr, "nobody was there to back it up"
    (opened.config.state.parent / "place").write_text("a disk that is not there")
    with pytest.raises(up.NotBackedUp, match=r"(?s)nothing was changed.*--without-backup"):
        preparation.prepare_database(
            opened.config, demo="", before_change=lambda due: up._back_up(opened.config, due, False)
        )
    assert not is_changed(opened)
    preparation.prepare_database(
        opened.config, demo="", before_change=lambda due: up._back_up(opened.config, due, True)
    )
    assert is_changed(opened) and "without a backup" in capsys.readouterr().err
