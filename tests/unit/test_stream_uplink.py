"""What a relay tells its publisher over a real socket: nothing is lost, however much comes at once."""

from __future__ import annotations

import asyncio
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import msgspec
import pytest
from beffroi.core.planes.follower import TOKEN_HEADER
from beffroi.lib.config import Config
from beffroi.stream import uplink
from beffroi.stream.uplink import MAX_ENFORCED, Enforced, News, Uplink

from tests.waiting import until

BOXES = 3 * MAX_ENFORCED + 7


class Publisher(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """``busy``: how many messages it refuses first."""

    daemon_threads = True

    def __init__(self, path: Path, token: str) -> None:
        self.token = token
        self.busy = 0
        self.heard: list[News] = []
        super().__init__(str(path), _Answer)

    @property
    def newest(self) -> dict[tuple[str, str], int]:
        return {(one.box_id, one.channel): one.version for news in self.heard for one in news.enforced}


class _Answer(BaseHTTPRequestHandler):
    server: Publisher
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.headers[TOKEN_HEADER] == self.server.token
        self.server.busy -= 1
        if refused := self.server.busy >= 0:
            self.send_response(503)
        else:
            self.server.heard.append(msgspec.json.decode(body, type=News))
            self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.close_connection = refused

    def address_string(self) -> str:
        return "relay"

    def log_message(self, format: str, *arguments: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def publisher(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Publisher, Config]]:
    monkeypatch.setattr(uplink, "PAUSE_S", 0.01)
    own = replace(config, state=tmp_path)
    own.secrets.mkdir()
    (own.secrets / "door.token").write_text("of this test")
    own.run.mkdir()
    server = Publisher(own.run / "stream.sock", "of this test")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server, own
    server.shutdown()
    thread.join()
    server.server_close()


def tell(config: Config, server: Publisher, *bursts: list[Enforced]) -> None:
    """Say each burst at once, as a heartbeat of the whole fleet does, until the last of it is heard."""

    async def speak() -> None:
        link = Uplink(config, "relay-1", lambda: BOXES)
        running = asyncio.create_task(link.run())
        try:
            for burst in bursts:
                for one in burst:
                    link.enforced(one)
                await asyncio.sleep(0.02)
            last = {(one.box_id, one.channel): one.version for burst in bursts for one in burst}
            await asyncio.to_thread(until, lambda: server.newest == last, "something was lost", 30.0)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            link.close()

    asyncio.run(speak())


def fleet(version: int) -> list[Enforced]:
    return [Enforced(f"box_{n}", f"col_{n}", "box", version) for n in range(BOXES)]


@pytest.mark.parametrize("busy", [0, 3])
def test_what_does_not_fit_into_a_message_goes_with_the_next(
    publisher: tuple[Publisher, Config], busy: int
) -> None:
    server, config = publisher
    server.busy = busy
    tell(config, server, fleet(7), fleet(8), [Enforced("box_1", "col_1", "box@col_1", 2)])
    assert max(len(news.enforced) for news in server.heard) <= MAX_ENFORCED
    assert sum(len(news.enforced) for news in server.heard) <= 2 * BOXES + 1


def test_a_box_that_floods_takes_one_place(publisher: tuple[Publisher, Config]) -> None:
    server, config = publisher
    flood = [Enforced("box_1", "col_1", "box", version) for version in range(50_000)]
    tell(config, server, flood, [Enforced("box_2", "col_2", "box", 1)])
    assert sum(len(news.enforced) for news in server.heard) <= 4
