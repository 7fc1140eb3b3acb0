"""The door's own HTTP, over real connections: what is kept, what is refused, how it stops."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator

import pytest
from beffroi.mail.gate import server as server_module
from beffroi.mail.gate.server import MAX_HEAD_BYTES, Request, Server

from tests.waiting import PATIENCE_S, until

LIMIT_BYTES = 100


class Door:
    def __init__(self) -> None:
        self.in_hand, self.go_on = threading.Event(), threading.Event()
        self.heard: dict[str, str] = {}
        self.server = Server(("127.0.0.1", 0), self.answer)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, request: Request) -> object:
        self.heard = request.headers
        if request.path == "/slow":
            self.in_hand.set()
            assert self.go_on.wait(PATIENCE_S)
        if request.path == "/unread":
            return {}
        return {"path": request.path, "query": request.query, "body": request.body(LIMIT_BYTES).decode()}

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE_S)


@pytest.fixture
def door() -> Iterator[Door]:
    made = Door()
    yield made
    if not made.server.stopping:
        made.server.stop()


def everything(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


def test_a_connection_takes_many_requests_and_says_that_it_is_kept(door: Door) -> None:
    client = http.client.HTTPConnection("127.0.0.1", door.port, timeout=PATIENCE_S)
    ports = set()
    for number in range(3):
        client.request("POST", f"/check?n={number}", f"mail {number}")
        answer = client.getresponse()
        assert answer.getheader("Connection") == "keep-alive"
        assert answer.read() == b'{"path":"/check","query":"n=%d","body":"mail %d"}' % (number, number)
        ports.add(client.sock.getsockname()[1])
    assert len(ports) == 1


@pytest.mark.parametrize(
    "head",
    [
        b"GET /\r\n\r\n",
        b"GET / HTTP/2.0\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"POST / HTTP/1.1\r\nContent-Length : 3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nContent-Length: -3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nContent-Length: 3x\r\n\r\nabc",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\n folded: yes\r\n\r\n",
        b"GET /".ljust(MAX_HEAD_BYTES + 1, b"x"),
        b"GET / HTTP/1.1\r\n" + b"".join(b"header%d: x\r\n" % n for n in range(MAX_HEAD_BYTES // 10)),
        b"GET / HTTP/1.1\r\n\r\nGET /check HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\r\n",
    ],
)
def test_what_is_not_understood_is_refused_and_its_connection_ends(door: Door, head: bytes) -> None:
    with door.connect() as connection:
        connection.sendall(head)
        connection.shutdown(socket.SHUT_WR)
        answer = everything(connection)
        assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n") and b"connection: close\r\n" in answer
        assert answer.count(b"HTTP/1.1") == 1


def test_a_body_that_is_too_long_is_not_read_and_one_that_ends_early_is_no_request(door: Door) -> None:
    for length, sent, status in ((LIMIT_BYTES + 1, b"", b"413"), (10, b"abc", b"400")):
        with door.connect() as connection:
            connection.sendall(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % length + sent)
            connection.shutdown(socket.SHUT_WR)
            assert everything(connection).split(b" ")[1] == status


@pytest.mark.parametrize("apart", [False, True], ids=["at once", "behind the head"])
def test_what_comes_behind_a_body_is_no_header_of_its_request(door: Door, *, apart: bool) -> None:
    head = b"POST /check HTTP/1.1\r\nX-Said: first\r\nTransfer-Encoding: chunked\r\n\r\n"
    rest = b"4\r\nmail\r\n0\r\nX-Said: last\r\nX-More: last\r\n\r\n"
    with door.connect() as connection:
        connection.sendall(head if apart else head + rest)
        if apart:
            until(lambda: door.heard, "its head")
            connection.sendall(rest)
        connection.shutdown(socket.SHUT_WR)
        answer = everything(connection)
    assert answer.startswith(b"HTTP/1.1 200") and b'"body":"mail"' in answer
    assert (door.heard["x-said"], door.heard.get("x-more")) == ("first", None)


def test_a_body_that_nobody_read_is_never_the_next_request(door: Door) -> None:
    with door.connect() as connection:
        body = b"GET /check HTTP/1.1\r\n\r\n"
        connection.sendall(b"POST /unread HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body))
        assert everything(connection).count(b"HTTP/1.1") == 1


def test_a_stop_lets_the_request_in_hand_have_its_answer_and_ends_what_waits(door: Door) -> None:
    with door.connect() as waiting, door.connect() as busy:
        busy.sendall(b"GET /slow HTTP/1.1\r\n\r\n")
        assert door.in_hand.wait(PATIENCE_S)
        stopping = threading.Thread(target=door.server.stop)
        stopping.start()
        assert everything(waiting) == b""
        door.go_on.set()
        assert everything(busy).startswith(b"HTTP/1.1 200 OK\r\n")
        stopping.join(PATIENCE_S)
        assert not stopping.is_alive()
    with pytest.raises(ConnectionRefusedError):
        door.connect()


def test_one_connection_too_many_is_ended_and_the_others_go_on(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "CONNECTIONS", 1)
    with door.connect() as first:
        first.sendall(b"GET /a HTTP/1.1\r\n\r\n")
        assert first.recv(65536).startswith(b"HTTP/1.1 200")
        with door.connect() as second:
            assert everything(second) == b""
        first.sendall(b"GET /b HTTP/1.1\r\n\r\n")
        assert b'"/b"' in first.recv(65536)

    def there_is_room() -> bool:
        with door.connect() as third:
            third.sendall(b"GET /c HTTP/1.1\r\n\r\n")
            return third.recv(65536).startswith(b"HTTP/1.1 200")

    until(there_is_room, "the first has gone: there is room again")
