"""`bench drive-growth` with few files: real servers, and each request of it answered."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import pytest

from bench import drive_growth


def test_growth_is_measured_against_the_smallest_commune_of_the_same_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(drive_growth, "SMALLEST", 200)
    monkeypatch.setattr(drive_growth, "LARGE", 400)
    parser = argparse.ArgumentParser()
    drive_growth.add_options(parser)
    with tempfile.TemporaryDirectory(prefix="bfg-") as place:  # short: sockets lie below it
        asked = parser.parse_args(["--requests", "3", "--rounds", "1", "--directory", place])
        rows = drive_growth.run(lambda text: None, asked)
        assert list(Path(place).iterdir()) == []
    assert len(rows) == 18 and all(row.ours and row.ours > 0 for row in rows)
    small, large = rows[:2]
    assert (small.work, large.work) == ("put a new file, 200 files", "put a new file, 400 files")
    assert small.target is None and small.ours and large.target == pytest.approx(1.3 * small.ours, abs=0.1)
