"""What `bench drive` makes of what it measured: targets from the best peer of the same run, and a table."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from bench import drive, drive_peers
from bench.drive import FIRST, WITHIN, Work
from bench.drive_peers import PEERS, Absent, Server
from bench.rows import Row

SERVERS = [Server(name, f"what {name} promises", 1, "", (1,)) for name in ("ours", "a", "b")]
RATE, LIST = Work("rate", "1/s", WITHIN, more_is_better=True), Work("list", "ms", FIRST)
SYNC = Work("sync", "s")


def options(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    drive.add_options(parser)
    return parser.parse_args(words)


def test_the_target_stands_beside_the_best_peer_and_an_absent_one_says_why() -> None:
    found = {
        RATE: {"ours": [40.0, 60.0, 50.0], "a": [90.0, 80.0, 100.0], "b": [10.0, 10.0, 10.0]},
        LIST: {"ours": [5.0], "a": [4.0], "b": [9.0]},
        SYNC: {"ours": [7.0]},
    }
    rows = drive._rows(SERVERS, {"c": "not installed"}, found)
    by = {(row.work, row.peer_name): row for row in rows}
    assert set(by) == {(work, peer) for work in ("rate", "list") for peer in "abc"} | {("sync", "")}
    assert (by["rate", "a"].ours, by["rate", "a"].target, by["rate", "a"].met) == (50, 45, True)
    assert (by["list", "a"].target, by["list", "a"].met, by["list", "b"].target) == (4, False, None)
    assert by["rate", "a"].spread == 1.5 and by["list", "a"].spread is None
    assert by["list", "c"].peer is None and by["list", "c"].note == "not installed"
    text = "\n".join(drive.shown([*rows, Row("put, 1000 files", "µs", 1, 1, "1000 files")]))
    assert "| rate | 50 1/s | 90 (0.56) | 10 (5) |  | 45: met |" in text
    assert "| list | 5 ms | 4 (0.8) | 9 (1.8) |  | 4: NOT met |" in text and "| sync | 7 s |" in text
    assert "c: not installed." in text and "factor of 1.5 (rate)" in text and "put, 1000 files" in text


def test_sizes_and_peers_are_words_with_commas_and_a_strange_peer_is_refused() -> None:
    found = options("--entries", "10,20", "--peers", "rclone", "--growth", "")
    assert (found.entries, found.peers, found.growth) == ([10, 20], ["rclone"], [])
    assert options().peers == list(PEERS)
    with pytest.raises(SystemExit):
        options("--peers", "rclone,unknown")


def test_without_apache_its_columns_say_how_to_have_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(Absent, match="bench --peers drive"), drive_peers.mod_dav(tmp_path / "a", {}):
        pass
