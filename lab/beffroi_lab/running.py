"""The programs that a scenario runs in its namespaces, and the way to ask them.

Purpose: start, ask and always end them. Each is a session leader: Ctrl-C reaches the laboratory alone, which
         then ends all in order.
Process: the laboratory's own.
Source:  docs/internals/lab.md.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from beffroi_lab.topology import LabFailed, Namespace

_STOP_S = 15.0


def wait_until(condition: Callable[[], object], limit_s: float, pause_s: float = 0.1) -> bool:
    """True as soon as ``condition`` holds, False after ``limit_s``; it is asked once at least."""
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(pause_s)
    return True


_HAND_OVER = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1'); "
    "os.execvp(sys.argv[2], sys.argv[2:])"
)


def handing_over(listening: socket.socket, argv: Sequence[str]) -> list[str]:
    """The command that gives ``argv`` this socket by the protocol of sd_listen_fds(3); it must inherit the socket."""
    return ["/usr/bin/python3", "-c", _HAND_OVER, str(listening.fileno()), *argv]


class Program:
    """One running program with its log file."""

    def __init__(
        self,
        space: Namespace,
        argv: Sequence[str],
        log: Path,
        *,
        environment: dict[str, str] | None = None,
        pipes: bool = False,
        directory: Path | None = None,
        listening: socket.socket | None = None,
    ) -> None:
        """``listening``: a socket that the program is given, as systemd does."""
        self.log = log
        self._file = log.open("ab")
        self.process = subprocess.Popen(
            space.command(argv if listening is None else handing_over(listening, argv)),
            stdin=subprocess.PIPE if pipes else subprocess.DEVNULL,
            stdout=subprocess.PIPE if pipes else self._file,
            stderr=self._file,
            env={**os.environ, **(environment or {})},
            cwd=directory,
            start_new_session=True,
            pass_fds=() if listening is None else (listening.fileno(),),
        )

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def tail(self, lines: int = 15) -> str:
        text = self.log.read_text("utf-8", "replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def stop(self, number: signal.Signals = signal.SIGTERM, timeout_s: float = _STOP_S) -> None:
        """End it, and its group if it does not go by itself."""
        if self.running:
            self.process.send_signal(number)
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(5)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        self._file.close()


class Hands:
    """Asks the hands in one namespace. ``ask`` waits; ``start`` gives a future."""

    def __init__(
        self,
        space: Namespace,
        log: Path,
        *,
        module: str = "beffroi_lab.hands",
        before: Sequence[str] = (),
        environment: dict[str, str] | None = None,
    ) -> None:
        argv = [*before, sys.executable, "-u", "-m", module]
        self._program = Program(space, argv, log, pipes=True, environment=environment)
        self._numbers = itertools.count(1)
        self._waiting: dict[int, Future[dict[str, Any]]] = {}
        self._lock = threading.Lock()
        threading.Thread(target=self._read, daemon=True).start()

    def start(self, do: str, **arguments: Any) -> Future[dict[str, Any]]:
        future: Future[dict[str, Any]] = Future()
        pipe = self._program.process.stdin
        assert pipe is not None
        with self._lock:
            number = next(self._numbers)
            self._waiting[number] = future
            pipe.write(json.dumps({"id": number, "do": do, **arguments}).encode() + b"\n")
            pipe.flush()
        return future

    def ask(self, do: str, *, within_s: float = 60.0, **arguments: Any) -> dict[str, Any]:
        """Return the answer. Errors: LabFailed when the hands themselves broke (not the network)."""
        answer = self.start(do, **arguments).result(within_s)
        if answer.get("broken"):
            raise LabFailed(f"{do}: {answer['error']}")
        return answer

    def stop(self) -> None:
        self._program.stop(timeout_s=2)

    def _read(self) -> None:
        pipe = self._program.process.stdout
        assert pipe is not None
        try:
            for line in pipe:
                answer = json.loads(line)
                self._waiting.pop(answer.pop("id")).set_result(answer)
        except ValueError:
            pass  # the pipe is closed: the program was stopped
        for future in self._waiting.values():
            future.set_exception(LabFailed("the hands in a namespace ended"))
