"""A desk without a screen: a home, a session bus and a keyring of its own, where real programs of desktops run.

``Desk`` runs one module of ``tests`` in it by the system's Python, which has the programs' own bindings, and asks it;
the module serves what it can do by ``serve``. With the desk's end all ends that was started there.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_ROOT = Path(__file__).parent.parent
_ANSWERS = 3
"""The descriptor on which a module answers: its programs write to the usual ones."""
_SYSTEM_PYTHON = "/usr/bin/python3"
_TRUSTED = "/etc/ssl/certs/ca-certificates.crt"


class Refused(Exception):
    """What the program said instead of doing it."""


class Desk:
    """``module``: below ``tests``. ``authorities``: a file of certificates that the programs trust, and no others."""

    def __init__(
        self, place: Path, module: str, authorities: str = "", environment: Mapping[str, str] | None = None
    ) -> None:
        place.mkdir(parents=True)
        (place / "run").mkdir(mode=0o700)
        self.place, self._module, self._authorities = place, module, authorities
        self._environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(place),
            "XDG_RUNTIME_DIR": str(place / "run"),
            "LANG": "C.UTF-8",
            "TZ": "Europe/Paris",
            "PYTHONPATH": str(_ROOT),
            # The usual one takes a network of loopback alone for none.
            "GIO_USE_NETWORK_MONITOR": "base",
            **(environment or {}),
        }

    def __enter__(self) -> Self:
        trust = 'mount --bind "$1" ' + _TRUSTED if self._authorities else ":"
        script = (
            f"{trust} && exec {_ANSWERS}>&1 >&2 && exec dbus-run-session -- sh -c '"
            'printf desk | gnome-keyring-daemon --unlock --components=secrets >/dev/null; exec "$@"\' sh "$2" -m "$3"'
        )
        with (self.place / "log").open("wb") as log:
            self._running = subprocess.Popen(
                ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script, "sh",
                 self._authorities, _SYSTEM_PYTHON, f"tests.{self._module}"),
                env=self._environment, cwd=self.place, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                text=True,
            )  # fmt: skip
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.kill()
        self._running.communicate()

    @property
    def log(self) -> str:
        return (self.place / "log").read_text(errors="replace")

    def ask(self, verb: str, *given: Any) -> Any:
        """Errors: Refused."""
        assert self._running.stdin is not None and self._running.stdout is not None
        self._running.stdin.write(json.dumps((verb, *given)) + "\n")
        self._running.stdin.flush()
        line = self._running.stdout.readline()
        assert line, self.log
        answer = json.loads(line)
        if "refused" in answer:
            raise Refused(answer["refused"])
        return answer["done"]


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
