"""Processes that tests begin by the hundred, forked by one that has imported what they import.

Purpose: stream and mailgate begin anew for each test of mail, a drive for many a file of tests, and importing is most
         of what a beginning costs.
Process: ``python -m tests.warm MODULE``, one for each module and process that asks: it imports, waits for questions on
         its standard input and forks. A child runs the module as ``python -m`` does, with the environment and the files
         it was asked for.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import IO, Any

from beffroi.lib.ready import readable

MODULES = ("beffroi.stream", "beffroi.mail.gate", "tests.drive_server")
_MOST_BYTES = 1 << 17
"""Of a question, which is a process's environment for the most part."""
_ONE_AT_A_TIME = threading.Lock()


class Begun:
    """``python -m MODULE ARGUMENTS``, in a session of its own; used as ``subprocess.Popen`` is."""

    def __init__(self, argv: tuple[str, ...], *, env: Mapping[str, str], out: IO[bytes]) -> None:
        self.args = argv
        self.returncode: int | None = None
        self.pid = self._ask({"argv": argv[1:], "env": dict(env)}, out)
        self._end = os.pidfd_open(self.pid)

    def poll(self) -> int | None:
        return self._look(0)

    def wait(self, timeout: float | None = None) -> int:
        """Errors: TimeoutExpired."""
        code = self._look(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return code

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            signal.pidfd_send_signal(self._end, number)

    def _look(self, timeout_s: float | None) -> int | None:
        if self.returncode is None and readable(self._end, timeout_s):
            self.returncode = self._ask({"ended": self.pid})
            os.close(self._end)
        return self.returncode

    def _ask(self, question: dict[str, Any], *files: IO[bytes]) -> int:
        with _ONE_AT_A_TIME:
            line = _line(self.args[1])
            socket.send_fds(line, [json.dumps(question).encode()], [file.fileno() for file in files])
            return int(line.recv(100))


def knows(argv: tuple[str, ...]) -> bool:
    return argv[:2] == (sys.executable, "-m") and argv[2] in MODULES


@cache
def _line(module: str) -> socket.socket:
    """It ends when this process does, for then nobody holds our end."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    root = Path(__file__).parents[1]
    subprocess.Popen(
        (sys.executable, "-m", "tests.warm", module), stdin=theirs.fileno(), cwd=root, start_new_session=True
    )
    theirs.close()
    return ours


def _serve(module: str) -> None:
    line = socket.socket(fileno=os.dup(0))
    if hasattr(importlib.import_module(module), "__path__"):
        module += ".__main__"
        importlib.import_module(module)
    del sys.modules[module]  # it is run, not imported
    gc.freeze()
    while True:
        said, files, _, _ = socket.recv_fds(line, _MOST_BYTES, 1)
        if not said:
            return
        asked = json.loads(said)
        if "ended" in asked:
            _, status = os.waitpid(asked["ended"], 0)
            line.send(str(os.waitstatus_to_exitcode(status)).encode())
            continue
        pid = os.fork()
        if pid == 0:
            line.close()
            _become(asked["argv"], asked["env"], files[0])
            return
        os.close(files[0])
        line.send(str(pid).encode())


def _become(argv: list[str], environment: dict[str, str], out: int) -> None:
    os.setsid()
    nothing = os.open("/dev/null", os.O_RDONLY)
    for number, file in enumerate((nothing, out, out)):
        os.dup2(file, number)
    os.close(nothing)
    os.close(out)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[:] = argv
    runpy.run_module(argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _serve(sys.argv[1])
