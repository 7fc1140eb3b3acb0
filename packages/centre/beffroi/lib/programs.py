"""What a process of ours begins and ends with."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from beffroi.lib import logged
from beffroi.lib.config import Config, load
from beffroi.lib.errors import BeffroiError


def run(work: Callable[[Config], int | None]) -> int:
    """Do the work of a process; return its exit code. The log goes to the standard error output, which the supervisor
    keeps; an error of ours that ends the work is one line there, and 1."""
    logged.to_stderr()
    try:
        return work(load()) or 0
    except BeffroiError as error:
        sys.stderr.write(f"{error.code}: {error}\n")
        return 1


class Ending:
    """From now on SIGTERM and SIGINT raise SystemExit, also out of a call that would otherwise go on, such as accept(2)
    and poll(2). A loop looks at ``is_asked`` as well: what is raised in a callback, as Python has after fork(2), is
    lost."""

    def __init__(self) -> None:
        self.is_asked = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)

    def _end(self, *_: object) -> NoReturn:
        self.is_asked = True
        raise SystemExit(0)
