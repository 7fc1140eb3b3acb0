"""An ASGI application served by the event loop of its own process: uvicorn with httptools, and no thread beside it.

Purpose: a request wakes nobody: it is parsed, answered and sent in the loop that the application runs in.
Process: drive. Behind front, which bounds heads (16 KiB, 10 s) and connections; neither is bounded here.
Fails:   a signal is the process's own affair (``lib.serving``), not the server's.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

BACKLOG = 1024
KEPT_ALIVE_S = 300
"""Longer than front keeps an idle connection: it never sends a request into one that ends."""
LINE_BYTES = 4096
"""Of a websocket's message."""
PING_S = 60
"""Who does not answer a websocket's ping within as much again is gone."""


class Server(uvicorn.Server):
    """``serve(sockets=[...])`` until ``should_exit``."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def server(application: Any) -> Server:
    return Server(
        uvicorn.Config(
            application,
            interface="asgi3",
            http="httptools",
            ws="websockets-sansio",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEPT_ALIVE_S,
            ws_max_size=LINE_BYTES,
            ws_per_message_deflate=False,
            ws_ping_interval=PING_S,
            ws_ping_timeout=PING_S,
        )
    )


def listen(path: Path, mode: int) -> socket.socket:
    """A Unix socket, made anew; those who may ``connect`` are told by ``mode``."""
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(str(path))
    path.chmod(mode)
    listening.listen(BACKLOG)
    listening.setblocking(False)
    return listening
