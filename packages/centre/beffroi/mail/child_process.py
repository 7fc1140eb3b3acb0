"""A command of ours as the child of a process that waits for work: how it begins, its limits, its end."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading

from beffroi.lib.config import STATE_VARIABLE, Config

MEMORY_BYTES = 1536 * 1024 * 1024


def start(config: Config, *command: str) -> subprocess.Popen[bytes]:
    """``command``: of ``beffroi.cli``, and what it is given."""
    return subprocess.Popen(
        (sys.executable, "-m", "beffroi.cli", *command),
        stdin=subprocess.PIPE,
        env={**os.environ, STATE_VARIABLE: str(config.state)},
    )


def settle() -> None:
    """In the child: from now on it has its limits, and ends when its parent does (its standard input closes)."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Whatever it was in the middle of: a cut at any point is recovered from."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(0)
