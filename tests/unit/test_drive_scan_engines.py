"""What a clamd says, read over its real protocol."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from beffroi.drive.scanning import scanner
from beffroi.drive.scanning.engines import EngineAway, Engines
from beffroi.drive.store.findings import VIRUS, Progress
from beffroi.lib import clock
from beffroi.lib.config import Config


@contextlib.contextmanager
def clamd(answer: bytes) -> Iterator[str]:
    """A clamd that takes a content and says this."""

    def serve(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, connection.makefile("rb") as incoming:
                    incoming.read(len(b"zINSTREAM\0"))
                    while length := int.from_bytes(incoming.read(4)):
                        incoming.read(length)
                    connection.sendall(answer + b"\0")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("answer", "found", "is_whole"),
    [
        (b"stream: OK", {}, True),
        (b"stream: Eicar-Test-Signature FOUND", {VIRUS: ["Eicar-Test-Signature"]}, False),
        (b"stream: Une r\xe8gle \nmaison FOUND", {VIRUS: ["Une_r_gle__maison"]}, False),
        (b"stream: " + b"x" * 300 + b" FOUND", {VIRUS: ["x" * 120]}, False),
        (b"stream: Heuristics.Encrypted.PDF FOUND", {}, False),
    ],
)
def test_whatever_a_clamd_calls_it_what_it_found_is_found(
    tmp_path: Path, answer: bytes, found: dict[str, list[str]], *, is_whole: bool
) -> None:
    with clamd(answer) as place:
        said = Engines(Config(state=tmp_path, scan=False, clamd=place)).look(b"content")
    assert (said.found, said.is_whole) == (found, is_whole)


@pytest.mark.parametrize(
    "answer",
    [
        b"stream: Can't allocate memory ERROR",
        b"INSTREAM: Can't write to temporary file. ERROR",
        b"UNKNOWN COMMAND",
        b"",
    ],
)
def test_a_clamd_that_failed_has_looked_at_nothing(tmp_path: Path, answer: bytes) -> None:
    with clamd(answer) as place, pytest.raises(EngineAway, match="clamd"):
        Engines(Config(state=tmp_path, scan=False, clamd=place)).look(b"content")


def test_a_walk_that_began_before_the_clock_was_set_back_is_no_reason_to_wait() -> None:
    now_s = clock.epoch_s()
    for walk_s, is_due in ((now_s - 3600, False), (now_s - 90_000, True), (now_s + 10 * 86400, True)):
        assert scanner._is_due(Progress(1, "older rules", "", walk_s), "newer") is is_due
    assert not scanner._is_due(Progress(1, "newer", "", now_s + 10 * 86400), "newer")
