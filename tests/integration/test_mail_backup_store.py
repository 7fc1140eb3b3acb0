"""The store of backups: which snapshots go with a new one."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

from beffroi.lib import clock
from beffroi.mail.backup.store import HOST, KEY, Store
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
