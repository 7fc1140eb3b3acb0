"""The store of backups: which snapshots go with a new one."""

from __future__ import annotations

import dataclasses
import os
from datetime import timedelta
from pathlib import Path

import pytest
from beffroi.lib import clock
from beffroi.mail.backup import staging, told
from beffroi.mail.backup.keeper import due
from beffroi.mail.backup.store import HOST, KEY, NotInBackup, Store, StoreAway, root
from beffroi.mail.backup.work import Work

from tests.fixtures_drive import new_config


def test_a_snapshot_of_a_clock_that_stands_years_ahead_takes_no_other_away_for_a_day(tmp_path: Path) -> None:
    """Terms are restic's, counted from the latest one: to it those of today are as old as that clock says."""
    config = new_config(tmp_path)
    (config.secrets / KEY).write_text("of no centre")
    store, folder = Store(config), tmp_path / "mailboxes"
    (config.state / "backup-work" / "cache").mkdir(parents=True)
    folder.mkdir()
    (folder / "mail").write_text("a")
    store.prepare()

    def earlier(**ago: float) -> str:
        """A snapshot of then, as it lies there."""
        moment = (clock.now() - timedelta(**ago)).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        store._run("backup", "--host", HOST, "--time", moment, str(folder))
        return store.snapshots()[-1].id

    years = [earlier(days=3650), earlier(days=3649)]
    first = store.save(folder, keep_days=35).id
    assert [one.id for one in store.snapshots()] == [*years, first]
    work, record = Work(config), config.state / "backup-work" / "restored" / "rst_1.json"
    record.parent.mkdir()
    record.write_text("{}")
    with clock.jumped(3650 * 86400):
        work.forget_old()
    assert record.exists(), "and what a restore brought can be taken away again"
    os.utime(record, (0, 0))
    work.forget_old()
    assert not record.exists()
    second = store.save(folder, keep_days=35).id
    assert [one.id for one in store.snapshots()] == [*years, first, second]
    earlier(hours=25)
    store.save(folder, keep_days=35)
    assert not set(years) & {one.id for one in store.snapshots()}, (
        "a clock that says so for a day is believed"
    )


def test_a_backup_gives_back_what_it_holds_to_a_centre_in_another_directory(tmp_path: Path) -> None:
    """As on the machine that takes the place of a lost one."""
    first, second = new_config(tmp_path / "first"), new_config(tmp_path / "second")
    for config in (first, second):
        (config.secrets / KEY).write_text("of both")
        (config.state / "backup-work" / "cache").mkdir(parents=True)
    mailbox = staging.stage(first) / "mbx_1"
    mailbox.mkdir(parents=True)
    (mailbox / "mail").write_text("a")
    store = Store(first)
    store.prepare()
    store.save(staging.stage(first), keep_days=35)
    moved = Store(dataclasses.replace(second, backup_path=str(root(first))))
    (there,) = moved.snapshots()
    moved.bring(there, "mbx_1", tmp_path / "back")
    assert (tmp_path / "back" / "mail").read_text() == "a"
    with pytest.raises(NotInBackup):
        moved.bring(there, "mbx_2", tmp_path / "nothing")


def test_an_empty_place_where_backups_were_is_a_disk_that_is_not_mounted(tmp_path: Path) -> None:
    """Begun anew there, backups would fill the disk of the centre, and all would look well."""
    place, other = tmp_path / "disk", tmp_path / "other"
    config = dataclasses.replace(new_config(tmp_path / "state"), backup_path=str(place))
    (config.secrets / KEY).write_text("of no centre")
    (config.state / "backup-work" / "cache").mkdir(parents=True)
    store = Store(config)
    store.prepare()
    store.prepare()
    place.rename(tmp_path / "away")
    place.mkdir()
    with pytest.raises(StoreAway, match="is its disk mounted") as caught:
        store.prepare()
    assert not list(place.iterdir())
    Store(dataclasses.replace(config, backup_path=str(other))).prepare()  # another place is a choice
    assert (other / "repository" / "config").exists()
    Path(str(caught.value).rpartition("rm ")[2]).unlink()
    store.prepare()
    assert (place / "repository" / "config").exists()


@pytest.mark.parametrize("what", ["database", "backup", "check", "drill"])
def test_what_was_done_by_a_clock_that_was_ahead_is_due_once_it_is_set_right(
    tmp_path: Path, what: str
) -> None:
    work, now = Work(new_config(tmp_path)), clock.epoch_s()
    work.config.run.mkdir(exist_ok=True)
    of_database = told.Database(backup_at=now, drilled_at=now)
    done = told.Told(backup_at=now, checked_at=now, since=now - 10**6, database=of_database)
    told.write(work.config, done)
    assert not due(work, now=now, tried_at={})
    ahead = now + 40 * 86400
    if what == "backup":
        told.changed(work.config, backup_at=ahead)
    elif what == "check":
        told.changed(work.config, checked_at=ahead)
    else:
        told.changed_database(work.config, **{"backup_at" if what == "database" else "drilled_at": ahead})
    assert due(work, now=now, tried_at={what: ahead}) == what
    assert not due(work, now=now, tried_at={what: now})


@pytest.mark.parametrize("ahead_s", [0, 40 * 86400])
def test_no_backup_of_a_day_is_told_whatever_the_clock_said_at_the_last_one(
    tmp_path: Path, ahead_s: int
) -> None:
    config, now = new_config(tmp_path), clock.epoch_s()
    config.run.mkdir(exist_ok=True)
    last = now + ahead_s
    for since in (now - 10**6, now + ahead_s):
        told.write(config, told.Told(since=since, backup_at=last, database=told.Database(backup_at=last)))
        later = now + told.LATE_AFTER_S + 1
        problems = told.problem(config, now=later), told.database_problem(config, now=later)
        assert all("not backed up" in one for one in problems)
        assert not any(" -" in one for one in problems), "no hours below zero"
