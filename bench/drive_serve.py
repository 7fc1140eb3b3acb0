"""`python -m bench.drive_serve PORT`: the process `drive` as it is, on a loopback port instead of front's socket.

Reason:  peers listen on TCP, and so do the clients that are measured; behind front, ours would be the only one with two
         processes on its way.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from beffroi.drive import __main__ as process
from beffroi.lib.serving import leave

_arguments = process.serve_arguments


def _on_loopback(socket: Path, connections: int) -> dict[str, Any]:
    found = _arguments(socket, connections)
    del found["uds"]
    return {**found, "address": "127.0.0.1", "port": int(sys.argv[1])}


if __name__ == "__main__":
    process.serve_arguments = _on_loopback
    leave(process.main())
