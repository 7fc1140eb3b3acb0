"""What the probe's file says to `./beffroi status`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from beffroi.lib.config import Config
from beffroi.mail.probe import told
from beffroi.mail.probe.told import Told, Way


def test_a_centre_with_many_sending_addresses_is_told_of_the_one_that_fails(
    config: Config, tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    config = replace(config, state=tmp_path)
    ways = [Way(f"out-exit-{number:03d}", "", 120, 0) for number in range(99)]
    told.write(config, Told(1000, (*ways, Way("out-last", "not_here", 120, 2))))
    assert "out-last (not_here)" in told.problem(config, now=1000, alarm_after=2)
