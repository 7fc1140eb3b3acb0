"""`python -m bench.drive_serve PORT`: the process `drive` as it is, on a loopback port instead of front's socket.

Reason:  peers listen on TCP, and so do the clients that are measured; behind front, ours would be the only one with two
         processes on its way.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path

from beffroi.drive import __main__ as process
from beffroi.lib import asgi
from beffroi.lib.serving import leave


def _on_loopback(path: Path, mode: int) -> socket.socket:
    return asgi.listen_on(int(sys.argv[1]))


if __name__ == "__main__":
    asgi.listen = _on_loopback
    leave(process.main())
