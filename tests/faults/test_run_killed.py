"""A killed run of the tests leaves nothing that runs; two runs on one machine do not meet (``tests.cell``)."""

from __future__ import annotations

import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import cell
from tests.waiting import PATIENCE_S, until

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not cell.possible(), reason="needs a machine that allows namespaces"),
]
ROOT = Path(__file__).parents[2]
RUN = """
import subprocess, sys, time
from tests import cell

def work():
    {work}

sys.exit(cell.run(work))
"""
# An engine as Postfix is one: a session of its own, and a parent that does not wait for it.
ENGINE = """subprocess.run(("sh", "-c", "setsid sleep 600.{mark} & setsid sleep 601.{mark} &"))
    {then}"""

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start ``work`` in a place of its own; the process returned is the one a person would kill."""
    started: list[subprocess.Popen[str]] = []

    def begin(work: str) -> subprocess.Popen[str]:
        argv = (sys.executable, "-c", RUN.format(work=work))
        started.append(
            subprocess.Popen(
                argv,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,  # whatever it does to its group, this run goes on
            )
        )
        return started[-1]

    yield begin
    for one in started:
        one.kill()
        one.wait()


def engines(mark: str) -> int:
    """How many engines with this mark run, seen from outside."""
    found = subprocess.run(
        ("pgrep", "-fc", f"^sleep 60[01][.]{mark}$"), capture_output=True, text=True, check=False
    )
    return int(found.stdout)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_what_a_killed_run_started_ends_with_it(start: Start, number: signal.Signals) -> None:
    mark = str(secrets.randbelow(10**9))
    run = start(ENGINE.format(mark=mark, then="time.sleep(600)"))
    until(lambda: engines(mark) == 2, "the engines run")
    run.send_signal(number)
    run.wait()
    until(lambda: engines(mark) == 0, "the engines ended with the run")


def test_what_a_run_forgot_to_end_ends_with_it_and_its_answer_is_kept(start: Start) -> None:
    mark = str(secrets.randbelow(10**9))
    run = start(ENGINE.format(mark=mark, then="return 7"))
    assert run.wait(PATIENCE_S) == 7
    until(lambda: engines(mark) == 0, "the engines ended with the run")


def test_a_run_ended_by_a_signal_says_so(start: Start) -> None:
    assert (
        start("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)").wait(PATIENCE_S)
        == 128 + signal.SIGSEGV
    )


def test_a_signal_to_everybody_ends_the_run_and_not_who_called_it(start: Start) -> None:
    assert start("import os, signal; os.kill(0, signal.SIGKILL)").wait(PATIENCE_S) == 128 + signal.SIGKILL


def test_orphans_are_taken_in(start: Start) -> None:
    left = """import os
    orphan = int(subprocess.run(("sh", "-c", "sleep 0.1 >&- & echo $!"), stdout=-1).stdout)
    while os.path.exists(f"/proc/{orphan}"):  # a zombie is there until somebody asks for its end
        time.sleep(0.05)
    return 0"""
    assert start(left).wait(PATIENCE_S) == 0


def test_two_runs_listen_on_the_same_port_and_have_namespaces_of_the_same_name(start: Start) -> None:
    work = """import socket
    subprocess.run(("ip", "netns", "add", "bft-same"), check=True)
    with socket.create_server(("127.0.0.1", 22525)):
        print("listening", flush=True)
        time.sleep(600)"""
    for run in (start(work), start(work)):
        assert run.stdout is not None
        assert run.stdout.readline() == "listening\n"
    assert not Path("/run/netns/bft-same").exists()
