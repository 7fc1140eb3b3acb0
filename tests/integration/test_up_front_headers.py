"""Which headers pass the real front door: a plane takes some of them for the front's own word."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator

import pytest

from tests.fixtures_calendars import Wall, wall

pytestmark = [pytest.mark.root, pytest.mark.slow]
HEARD: list[bytes] = []


class Plane(socketserver.StreamRequestHandler):
    """Where drive would listen: keeps the lines of a request as they come."""

    def handle(self) -> None:
        HEARD.clear()
        while (line := self.rfile.readline().strip()) != b"":
            HEARD.append(line)
        self.wfile.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")


@pytest.fixture(scope="module")
def door() -> Iterator[Wall]:
    with wall("bfh-", 23160) as one:
        path = one.config.run / "drive.sock"
        with socketserver.ThreadingUnixStreamServer(str(path), Plane) as server:
            path.chmod(0o666)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield one
            server.shutdown()


@pytest.mark.parametrize(
    "name",
    (
        "X-Forwarded-For", "x_forwarded_for", "X-Forwarded_For", "Forwarded", "X-Real-IP", "X_Real_IP",
        "X-Beffroi-Listener", "X_Beffroi_Listener", "X-Beffroi-Door", "x_beffroi_token", "Any_Other",
    ),
)  # fmt: skip
def test_nobody_says_for_the_front_who_they_are(door: Wall, name: str) -> None:
    """To WSGI a dash and an underscore are one: the second of two would be the address that limits, evidence and the
    immunity of all communes go by."""
    said = "198.51.100.7"
    assert door.ask("OPTIONS", "/dav/", headers={name: said, "X-Kept": "yes"}).status == 204
    told = {line.split(b":")[0].lower(): line.split(b":", 1)[1].strip() for line in HEARD[1:]}
    assert said.encode() not in told.values()
    assert (told[b"x-forwarded-for"], told[b"x-beffroi-listener"]) == (b"127.0.0.1", b"portal")
    assert told[b"x-kept"] == b"yes"
    assert len(told) == len(HEARD) - 1, "each once"
