"""Seeds that hurt their process fail by themselves, and the run goes on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WRONG = {
    1: ("while True: pass", "TookTooLong: more than 2 s"),
    2: ("threading.Event().wait()", "TookTooLong: more than 2 s"),
    3: ("while True:\n        try: time.sleep(60)\n        except BaseException: break\n    threading.Event().wait()",
        "TookTooLong: more than 2 s"),
    4: ("raise Pause", "tests.simulation.box.Pause"),
    5: ("sys.exit(3)", "SystemExit: 3"),
    6: ("os.fork()", "Forked: os.fork"),
    7: ("subprocess.run(['true'])", "Forked: subprocess.Popen"),
    8: ("os._exit(0)", "its worker ended: exit code 0"),
    9: ("os.kill(os.getpid(), signal.SIGKILL)", "its worker ended: exit code -9"),
    10: ("signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM}); threading.Event().wait()",
         "did not hear the alarm"),
}  # fmt: skip


def _run(deeds: dict[int, str], last: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own; each seed of ``deeds`` does that after the others' story has begun."""
    functions = "\n".join(f"def deed_{seed}():\n    {text}" for seed, text in deeds.items())
    text = f"""
import os, signal, subprocess, sys, threading, time
from tests.simulation import __main__, run, workers
from tests.simulation.box import Pause
workers.AGAIN_S, workers.DEAF_S = 0.5, 6.0
{functions}
live = run.live
def broken(world):
    globals().get(f"deed_{{world.seed}}", lambda: live(world))()
run.live = broken
sys.argv = ["simulation", "--seeds", "14", "--processes", "2", *{last!r}.split()]
sys.exit(__main__.main())
"""
    return subprocess.run((sys.executable, "-c", text), cwd=ROOT, check=False, capture_output=True, text=True)


def test_what_a_seed_does_to_its_process_is_its_own_failure() -> None:
    done = _run({seed: text for seed, (text, _) in WRONG.items()}, "--limit 2")
    assert done.returncode == 1, done.stdout + done.stderr
    said = {}
    for line in done.stdout.splitlines():
        if line.startswith("seed "):
            number, _, failure = line.removeprefix("seed ").partition(": ")
            said[int(number)] = failure
    assert said.keys() == WRONG.keys()
    for seed, (_, failure) in WRONG.items():
        assert failure in said[seed], seed
    # What ended or killed its worker left no traceback.
    assert done.stdout.count("in broken") == len(WRONG) - 3
    assert "14 seeds, 10 failed" in done.stdout


def test_an_interrupt_of_a_seed_ends_the_run() -> None:
    done = _run({3: "raise KeyboardInterrupt", 5: "threading.Event().wait()"}, "--limit 60")
    assert done.returncode in {-2, 130}, done.stdout + done.stderr
    assert "KeyboardInterrupt" in done.stderr


def test_one_seed_alone_is_limited_too() -> None:
    done = _run({1: "while True: pass"}, "--seed 1 --limit 1")
    assert done.returncode == 1
    assert "TookTooLong" in done.stdout
