"""How a process begins and ends: its exit code, one line for an error of ours, a signal that ends a wait."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from beffroi.lib import programs
from beffroi.lib.config import Config
from beffroi.lib.errors import Unavailable

from tests.waiting import PATIENCE_S


def test_exit_code_is_the_work_s_own() -> None:
    assert programs.run(lambda config: None) == 0
    assert programs.run(lambda config: 3) == 3


def test_an_error_of_ours_is_one_line_and_any_other_is_not_hidden(capsys: pytest.CaptureFixture[str]) -> None:
    def away(config: Config) -> None:
        raise Unavailable("The store")

    assert programs.run(away) == 1
    assert capsys.readouterr().err == f"service.unavailable: {Unavailable('The store')}\n"
    with pytest.raises(ZeroDivisionError):
        programs.run(lambda config: 1 // 0)


def test_a_signal_ends_a_call_that_waits() -> None:
    text = (
        "import socket\nfrom beffroi.lib import programs\n"
        "def wait(config):\n"
        "    programs.Ending()\n"
        "    server = socket.create_server(('127.0.0.1', 0))\n"
        "    print('waiting', flush=True)\n"
        "    server.accept()\n"
        "raise SystemExit(programs.run(wait))\n"
    )
    child = subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, env=dict(os.environ))
    assert child.stdout is not None
    with child.stdout:
        assert child.stdout.readline() == b"waiting\n"
        child.send_signal(signal.SIGTERM)
        assert child.wait(PATIENCE_S) == 0


def test_a_signal_that_comes_within_a_callback_of_a_fork_ends_the_loop() -> None:
    text = (
        "import os, signal\nfrom beffroi.lib import programs\n"
        "os.register_at_fork(after_in_parent=lambda: os.kill(os.getpid(), signal.SIGTERM))\n"
        "ending = programs.Ending()\n"
        "while not ending.is_asked:\n"
        "    if os.fork() == 0:\n"
        "        os._exit(0)\n"
        "    os.wait()\n"
        "print('ended by its loop')\n"
    )
    child = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, timeout=PATIENCE_S, check=True
    )
    assert child.stdout == "ended by its loop\n"
    assert "Exception ignored" in child.stderr, "it was lost, or this asks nothing"


def test_a_signal_ends_a_wait_for_work(tmp_path: Path) -> None:
    text = (
        "import sys\nfrom pathlib import Path\nfrom beffroi.lib import waking\n"
        "def step():\n"
        "    print('waiting', flush=True)\n"
        "    return 3600.0\n"
        "waking.look(Path(sys.argv[1]), step)\n"
    )
    command = [sys.executable, "-c", text, str(tmp_path / "wake")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None and child.stdout.readline() == b"waiting\n"
        child.send_signal(signal.SIGTERM)
        try:
            assert child.wait(PATIENCE_S) == 0
        finally:
            child.kill()
