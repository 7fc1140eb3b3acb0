"""One request to the drive in this process, during whose body something else happens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, NamedTuple

from beffroi.drive.web.app import Drive
from django.db import connections


class Said(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


def ask(
    app: Drive,
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes = b"",
    *,
    meanwhile: Callable[[], object] = lambda: None,
) -> Said:
    """``meanwhile``: done, in a thread, when a part of the body came and the rest is awaited."""
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
