"""A module of ``tests`` that runs on a desk by the system's Python, which has the programs' own bindings, and is asked.

It serves what it can do by ``serve``.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the system's Python has no pytest
    from subprocess import Popen

    from tests.desk import Desk

_ANSWERS = 3
"""The descriptor on which a module answers: its programs write to the usual ones."""
_ASIDE = f'exec {_ANSWERS}>&1 >&2 && exec "$@"'


class Refused(Exception):
    """What the program said instead of doing it."""


@dataclass(frozen=True)
class Module:
    desk: Desk
    _running: Popen[bytes]

    def ask(self, verb: str, *given: Any) -> Any:
        """Errors: Refused."""
        assert self._running.stdin is not None and self._running.stdout is not None
        self._running.stdin.write(json.dumps((verb, *given)).encode() + b"\n")
        self._running.stdin.flush()
        line = self._running.stdout.readline()
        assert line, self.desk.log
        answer = json.loads(line)
        if "refused" in answer:
            raise Refused(answer["refused"])
        return answer["done"]


@contextmanager
def module(desk: Desk, name: str) -> Iterator[Module]:
    """``name``: below ``tests``. Until the block ends, and its desk after it."""
    python = ("/usr/bin/python3", "-m", f"tests.{name}")
    root = str(Path(__file__).parent.parent)
    running = desk.start(
        "sh", "-c", _ASIDE, "sh", *python, stdin=PIPE, stdout=PIPE, environment={"PYTHONPATH": root}
    )
    with running:
        try:
            yield Module(desk, running)
        finally:
            running.kill()


def serve(verbs: Mapping[str, Callable[..., Any]]) -> None:
    """On the desk: do what is asked, a line each, until nobody asks any more."""
    with os.fdopen(_ANSWERS, "w") as answers:
        for line in sys.stdin:
            verb, *given = json.loads(line)
            try:
                answer = {"done": verbs[verb](*given)}
            except Exception as error:  # noqa: BLE001 - whatever a program says, and the next question
                traceback.print_exc()
                answer = {"refused": str(error)}
            print(json.dumps(answer), file=answers, flush=True)
