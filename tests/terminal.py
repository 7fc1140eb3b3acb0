"""A person at a terminal of the centre's machine."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest

type Types = Callable[..., None]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Types:
    """``terminal(*lines)``: what a person types for the next command, in a process that keeps the user it has."""
    monkeypatch.setattr("beffroi.cli.entering._become_python_user", lambda _config: None)

    def types(*lines: str) -> None:
        monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))

    return types
