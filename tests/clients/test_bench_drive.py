"""`bench drive` in small: ours and a peer under the real clients, both ways."""

from __future__ import annotations

import argparse
import shutil

import pytest

from bench import drive


@pytest.mark.slow
def test_a_short_run_measures_ours_and_a_peer_by_the_same_work() -> None:
    parser = argparse.ArgumentParser()
    drive.add_options(parser)
    sizes = ["--files", "20", "--entries", "50", "--megabytes", "1", "--rounds", "2"]
    rows = drive.run(lambda text: None, parser.parse_args([*sizes, "--peers", "rclone", "--growth", ""]))
    works = {row.work for row in rows}
    assert {"PUT of 10 kB, 8 clients", "PROPFIND of 50 entries", "1 MB up", "memory, at most"} <= works
    assert any("nextcloudcmd" in work for work in works) is bool(shutil.which("nextcloudcmd"))
    assert all(row.ours and (row.peer or row.peer_name == "") for row in rows)
