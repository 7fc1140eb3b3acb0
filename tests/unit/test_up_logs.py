"""Logs are set aside by size and by week, compressed, and deleted by date; a wrong clock empties nothing."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from beffroi.lib import clock
from beffroi.supervise import logs

DAY_S = 86400
KEEP_DAYS = 183


def kept(log: Path) -> list[str]:
    """What the files set aside hold, the oldest first."""
    return [gzip.decompress(one.read_bytes()).decode() for one in sorted(log.parent.glob("mail.log.*Z.gz"))]


def week(log: Path, text: str) -> None:
    log.write_text(text)
    logs.trim(log, keep_days=KEEP_DAYS)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "mail.log"


def test_a_log_is_set_aside_each_week_and_kept_half_a_year(log: Path) -> None:
    for number in range(40):
        with clock.shifted(8 * number * DAY_S):
            week(log, f"week {number}\n")
    assert log.read_text() == ""
    found = kept(log)
    assert found[-1] == "week 39\n"
    # Set aside every 8 days from the second week on: those of the last 183 days, and no more than these.
    assert found == [f"week {number}\n" for number in range(39 - KEEP_DAYS // 8, 40)]


def test_a_young_short_log_stays(log: Path) -> None:
    week(log, "one\n")
    with clock.shifted(6 * DAY_S):
        week(log, "one\ntwo\n")
    assert (log.read_text(), kept(log)) == ("one\ntwo\n", [])


def test_a_long_log_is_set_aside_at_once_and_a_flood_is_bounded(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "MAX_BYTES", 10)
    monkeypatch.setattr(logs, "MOST", 5)
    for number in range(9):
        with clock.shifted(number * 60):
            week(log, f"line number {number}\n")
    assert kept(log) == [f"line number {number}\n" for number in range(4, 9)]
    assert {one.stat().st_mode & 0o777 for one in log.parent.glob("*.gz")} == {0o640}


def test_a_clock_ten_years_ahead_deletes_two_files_and_no_more(log: Path) -> None:
    for number in range(10):
        with clock.shifted(8 * number * DAY_S):
            week(log, f"week {number}\n")
    before = kept(log)
    with clock.shifted(3650 * DAY_S):
        for text in ("ahead\n", "ahead again\n", "and again\n"):
            week(log, text)
    assert kept(log) == [*before[2:], "ahead\n"]


def test_on_a_full_disk_the_log_stays_whole(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    week(log, "one\n")
    monkeypatch.setattr(shutil, "copyfileobj", full)
    with clock.shifted(8 * DAY_S):
        week(log, "one\ntwo\n")
    assert (log.read_text(), kept(log)) == ("one\ntwo\n", [])
    assert not list(log.parent.glob("*.new"))


def test_what_a_process_said_goes_in_time_also_when_it_says_nothing_any_more(log: Path) -> None:
    week(log, "the last word\n")
    for number in range(1, 3 + KEEP_DAYS // 8):
        with clock.shifted(8 * number * DAY_S):
            logs.trim(log, keep_days=KEEP_DAYS)
            assert kept(log) == ["the last word\n"] or number > KEEP_DAYS // 8
    assert kept(log) == []


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_log_with_room_ahead_is_written_on_a_full_disk(tmp_path: Path) -> None:
    subprocess.run(("mount", "-t", "tmpfs", "-o", "size=20m", "none", tmp_path), check=True)
    try:
        log = tmp_path / "mail.log"
        log.write_bytes(b"before\n")
        logs.reserve(log)
        assert log.read_bytes() == b"before\n"
        left = os.statvfs(tmp_path)
        (tmp_path / "filler").write_bytes(bytes(left.f_bavail * left.f_bsize))
        with pytest.raises(OSError, match="No space"):
            (tmp_path / "other").write_bytes(b"one")
        with log.open("ab") as lines:
            lines.write(bytes(2**20))
        assert log.stat().st_size == 2**20 + 7
    finally:
        subprocess.run(("umount", tmp_path), check=True)
