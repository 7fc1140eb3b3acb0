"""A laboratory that is cut off: a second Ctrl-C stops no removal, and neither does a terminal that is closed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from beffroi_lab import topology

from tests.waiting import PATIENCE_S, until

pytestmark = [pytest.mark.root, pytest.mark.netns]
BUILT = """
import subprocess, sys, time
from pathlib import Path
from beffroi_lab import __main__, plan, topology
__main__.end_in_order()
with topology.network(plan.make(3), Path(sys.argv[1])) as network:
    subprocess.Popen(network["lanA"].command(["sh", "-c", "trap '' TERM; sleep 600 & wait"]), start_new_session=True)
    print("built", flush=True)
    time.sleep(600)
"""


def _by_ctrl_c(process: subprocess.Popen[str]) -> None:
    """All that the terminal runs in front hears it."""
    while process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue


def _by_closing_the_terminal(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGHUP)


@pytest.mark.parametrize("cut", [_by_ctrl_c, _by_closing_the_terminal])
def test_a_run_that_is_cut_off_leaves_nothing(
    tmp_path: Path, cut: Callable[[subprocess.Popen[str]], None]
) -> None:
    argv = (sys.executable, "-c", BUILT, str(tmp_path))
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "built\n"
        place = topology.Namespace(f"{topology.PREFIX}{process.pid}-lanA", Path())
        until(lambda: len(place.pids()) > 1, "what runs in it")
        inside = place.pids()
        cut(process)
        process.wait(PATIENCE_S)
    assert not list(topology.NETNS.glob(f"{topology.PREFIX}{process.pid}-*"))
    assert not [pid for pid in inside if Path(f"/proc/{pid}").exists()]


def test_what_a_killed_run_left_goes_with_the_next_one_but_for_what_was_to_be_kept(tmp_path: Path) -> None:
    argv = (sys.executable, "-c", BUILT, str(tmp_path))
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "built\n"
        temporary, memory = Path(tempfile.gettempdir()), Path("/dev/shm")
        goes, stays = (topology.directory_prefix(str(process.pid), kept=kept) + "x" for kept in (False, True))
        made = [place / name for place in (temporary, memory) for name in (goes, stays)]
        for one in made:
            one.mkdir()
        assert not [name for name in topology.remove_leftovers() if f"-{process.pid}-" in name], "it runs"
        process.kill()
        process.wait(PATIENCE_S)
    try:
        assert len(topology.remove_leftovers()) >= 8
        assert [one for one in made if one.exists()] == [temporary / stays]
    finally:
        shutil.rmtree(temporary / stays, ignore_errors=True)
