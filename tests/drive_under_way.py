"""Requests to the drive whose body is on its way for a while."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, NamedTuple

from beffroi.drive.web.app import Drive
from beffroi.lib.ready import readable
from django.db import connections

from tests.waiting import PATIENCE_S


class Said(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


def taken_in(port: int, method: str, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """The first line of the answer to a body whose end comes a second later, and of which the server took in all."""
    named = {"Host": "localhost", "Content-Length": str(len(body))} | dict(headers)
    head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in named.items())
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as line, line.makefile("rb") as said:
        line.sendall(f"{head}\r\n".encode() + body[:-1])
        assert not readable(line, 1), "it answers who is still sending"
        line.sendall(body[-1:])
        return said.readline()


def ask(
    app: Drive,
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes = b"",
    *,
    meanwhile: Callable[[], object] = lambda: None,
) -> Said:
    """In this process. ``meanwhile``: done, in a thread, when a part of the body came and the rest is awaited."""
    pieces, said = [body[:3], body[3:]], list[MutableMapping[str, Any]]()

    def aside() -> None:
        try:
            meanwhile()
        finally:
            connections.close_all()  # of this thread

    async def receive() -> MutableMapping[str, Any]:
        if len(pieces) == 1:
            await asyncio.to_thread(aside)
        return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

    async def send(message: MutableMapping[str, Any]) -> None:
        said.append(message)

    pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    pairs.append((b"content-length", str(len(body)).encode()))
    scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b""}
    asyncio.run(app(scope | {"headers": pairs}, receive, send))
    told = {name.decode(): value.decode() for name, value in said[0]["headers"]}
    return Said(said[0]["status"], told, b"".join(one.get("body", b"") for one in said[1:]))
