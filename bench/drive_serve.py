"""`python -m bench.drive_serve PORT`: the process `drive` as it is, on a loopback port instead of front's socket.

Reason:  peers listen on TCP, and so do the clients that are measured; behind front, ours would be the only one with two
         processes on its way.
"""

from __future__ import annotations

import socket
import sys

from beffroi.drive import __main__ as process
from beffroi.lib import asgi
from beffroi.lib.serving import leave


def on_loopback(port: int) -> socket.socket:
    listening = socket.create_server(("127.0.0.1", port), backlog=asgi.BACKLOG)
    # An answer is two writes; without it the second waits for the client's word. Connections take it over.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


if __name__ == "__main__":
    asgi.listen = lambda path, mode: on_loopback(int(sys.argv[1]))
    leave(process.main())
