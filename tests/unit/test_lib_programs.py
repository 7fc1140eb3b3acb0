"""How a process begins and ends: its exit code, one line for an error of ours, a signal that ends a wait."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from beffroi.lib import programs
from beffroi.lib.config import Config
from beffroi.lib.errors import Unavailable


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
        "import signal, socket\nfrom beffroi.lib import programs\n"
        "def wait(config):\n"
        "    signal.signal(signal.SIGTERM, programs.end)\n"
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
        assert child.wait(30) == 0
