"""Requests to the drive as they come: bodies whole, cut off, too slow, too long; which route answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, MutableMapping
from typing import Any

import pytest
from beffroi.drive.web import messages
from beffroi.drive.web.messages import Answer, ClientGone, Request, Routes, TooSlow
from beffroi.lib.errors import Invalid, TooLarge


class Sender:
    """A client that sends these pieces, each after a pause, then ``end``: "whole", "gone" or "silent"."""

    def __init__(self, pieces: list[bytes], end: str, *, pause_s: float = 0.0) -> None:
        self.pieces, self.end, self.pause_s = list(pieces), end, pause_s

    async def receive(self) -> MutableMapping[str, Any]:
        await asyncio.sleep(self.pause_s)
        if self.pieces:
            return {"type": "http.request", "body": self.pieces.pop(0), "more_body": True}
        if self.end == "silent":
            await asyncio.Event().wait()
        return {"type": "http.disconnect"} if self.end == "gone" else {"type": "http.request", "body": b""}


def request(sender: Sender, **headers: str) -> Request:
    named = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return Request("PUT", "/", "", named, sender.receive)


def test_a_body_is_read_whole_and_no_longer_than_it_may_be() -> None:
    assert asyncio.run(request(Sender([b"a", b"b"], "whole")).body(2)) == b"ab"
    with pytest.raises(TooLarge):
        asyncio.run(request(Sender([b"a", b"bc"], "whole")).body(2))
    with pytest.raises(ClientGone):
        asyncio.run(request(Sender([b"a"], "gone")).body(2))


def test_a_form_of_more_fields_than_are_meant_is_said_to_be_wrong() -> None:
    assert asyncio.run(request(Sender([b"n=1&n=2&x=%C3%A9"], "whole")).form(100, 3)) == {
        "n": ["1", "2"],
        "x": ["é"],
    }
    with pytest.raises(Invalid):
        asyncio.run(request(Sender([b"n=1&n=2&x=3"], "whole")).form(100, 2))


def test_who_holds_a_connection_without_sending_is_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "PACE_S", 0.1)
    monkeypatch.setattr(messages, "PACE_BYTES", 10)
    with pytest.raises(TooSlow):
        asyncio.run(request(Sender([b"x" * 100], "silent")).body(1000))
    with pytest.raises(TooSlow):  # a byte now and then is no pace
        asyncio.run(request(Sender([b"x"] * 500, "whole", pause_s=0.03)).body(1000))
    monkeypatch.setattr(messages, "PACE_S", 1.0)  # a busy machine is no slow client
    slow_but_steady = Sender([b"x" * 10] * 30, "whole", pause_s=0.05)
    assert len(asyncio.run(request(slow_but_steady).body(1000))) == 300


def test_the_time_that_we_take_is_not_the_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "PACE_S", 0.2)

    async def read() -> int:
        count = 0
        async for piece in request(Sender([b"x"] * 4, "whole")).chunks():
            await asyncio.sleep(0.1)
            count += len(piece)
        return count

    assert asyncio.run(read()) == 4


@pytest.mark.parametrize(
    ("headers", "left"),
    [
        ({"content_length": "20"}, 0),
        ({"transfer_encoding": "chunked"}, 0),
        ({"content_length": "20", "expect": "100-continue"}, 2),
        ({}, 2),
    ],
)
def test_the_rest_of_a_refused_body_is_read_where_somebody_sends_it(
    headers: dict[str, str], left: int
) -> None:
    sender = Sender([b"x" * 10] * 2, "whole")
    asyncio.run(request(sender, **headers).drain())
    assert len(sender.pieces) == left


def test_a_long_rest_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "MAX_DRAINED_BYTES", 15)
    sender = Sender([b"x" * 10] * 9, "whole")
    asyncio.run(request(sender, content_length="90").drain())
    assert len(sender.pieces) == 7
    asyncio.run(request(Sender([], "gone"), content_length="90").drain())


def test_the_longest_prefix_answers() -> None:
    async def one(request: Request) -> Answer:
        return Answer(200)

    async def two(request: Request) -> Answer:
        return Answer(200)

    routes = Routes()
    routes.add("/a", one, is_open=True)
    routes.add("/a/b", two)
    found = {path: routes.find(path) for path in ("/a", "/a/", "/a/c", "/a/b/c", "/a/bc", "/ab", "/")}
    assert found == {
        "/a": (one, True),
        "/a/": (one, True),
        "/a/c": (one, True),
        "/a/b/c": (two, False),
        "/a/bc": (one, True),
        "/ab": None,
        "/": None,
    }


def test_an_answer_that_nobody_takes_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "SEND_S", 0.05)
    closed = []

    async def pieces() -> AsyncGenerator[bytes]:
        try:
            while True:
                yield b"x"
        finally:
            closed.append(True)

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        asyncio.run(Answer(200, (), pieces()).send(send, Sender([], "silent").receive))
    assert closed


def test_for_a_client_that_left_nothing_more_is_read() -> None:
    """The server drops what is sent to one that is gone, and says so to nobody but who asks."""
    sent: list[MutableMapping[str, Any]] = []
    left = asyncio.Event()

    async def pieces() -> AsyncGenerator[bytes]:
        for _ in range(100):
            yield b"x"
            await asyncio.sleep(0)

    async def receive() -> MutableMapping[str, Any]:
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)
        if len(sent) == 5:
            left.set()

    asyncio.run(Answer(200, (), pieces()).send(send, receive))
    assert 5 <= len(sent) < 10
    assert all(one.get("more_body", True) for one in sent), "no answer that looks whole"
