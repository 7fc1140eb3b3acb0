"""The socket on which a process of root answers: who may ask, and what a request is."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from beffroi.lib import asked

from tests.waiting import PATIENCE_S


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "asked.sock"


@pytest.fixture
def serving(path: Path, request: pytest.FixtureRequest) -> Iterator[None]:
    """``request.param``: the users who may ask."""

    def answer(line: bytes, connection: socket.socket) -> dict[str, object]:
        connection.sendall(asked.line({"done": 1}))
        return {"ok": bool(line), "heard": line.decode()}

    with asked.listen(path) as listener:
        thread = threading.Thread(
            target=asked.serve, args=(listener, answer), kwargs={"callers": request.param}
        )
        thread.start()
        yield
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(PATIENCE_S)


def ask(path: Path, request: bytes) -> list[dict[str, Any]]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(20)
        connection.connect(str(path))
        with contextlib.suppress(BrokenPipeError):  # refused before it asked
            connection.sendall(request)
        with connection.makefile("rb") as lines:
            return [json.loads(line) for line in lines]


@pytest.mark.parametrize("serving", [{os.getuid()}], indirect=True)
@pytest.mark.usefixtures("serving")
def test_who_may_ask_gets_lines_of_progress_and_an_answer(path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o660
    assert ask(path, b"how\xc3\xa9\n") == [{"done": 1}, {"ok": True, "heard": "how\xe9\n"}]
    longest = b"x" * asked.MAX_REQUEST_BYTES
    assert ask(path, longest[1:] + b"\n")[-1]["ok"]
    assert ask(path, longest + b"\n")[-1] == {"ok": False, "heard": ""}


@pytest.mark.parametrize("serving", [{os.getuid() + 1}], indirect=True)
@pytest.mark.usefixtures("serving")
def test_who_may_not_ask_gets_no_answer(path: Path) -> None:
    assert ask(path, b"") == []


@pytest.mark.parametrize("serving", [{os.getuid()}], indirect=True)
@pytest.mark.usefixtures("serving")
def test_who_asks_gets_each_line_as_it_is_said(path: Path) -> None:
    said = asked.answers(path, {"verb": "hé"}, timeout_s=20)
    assert list(said) == [{"done": 1}, {"ok": True, "heard": '{"verb": "h\\u00e9"}\n'}]


@pytest.mark.parametrize("serving", [{os.getuid() + 1}], indirect=True)
@pytest.mark.usefixtures("serving")
def test_who_may_not_ask_hears_nothing(path: Path) -> None:
    heard: list[dict[str, Any]] = []
    with contextlib.suppress(OSError):  # the door may close before the question is written
        heard += asked.answers(path, {"verb": "how"}, timeout_s=20)
    assert heard == []
