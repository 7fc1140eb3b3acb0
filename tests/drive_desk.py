"""The portal and the drive under one address, as front joins them, for a browser."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from tests.waiting import PATIENCE_S, until_it_listens

CONFIGURATION = """
global
    maxconn 200
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend portal
    bind 127.0.0.1:{port}
    use_backend drive if {{ path_beg /coffre/octets/ /coffre/envoi/ /coffre/lien/ /coffre/depot/ }}
    default_backend web
{inner}
backend drive
    server drive 127.0.0.1:{drive}
backend web
    server web 127.0.0.1:{web}
"""


@contextlib.contextmanager
def joined(directory: Path, *, web: str, drive_port: int, run: Path | None = None) -> Iterator[str]:
    """The address under which both answer. ``web``: address of the portal. ``run``: where the portal finds the drive's
    own socket."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    file = directory / "joined.cfg"
    file.write_text(
        CONFIGURATION.format(port=port, drive=drive_port, web=urlsplit(web).port, inner=_inner(run))
    )
    process = subprocess.Popen(("haproxy", "-db", "-q", "-f", file), stdin=subprocess.DEVNULL)
    try:
        until_it_listens(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def _inner(run: Path | None) -> str:
    if run is None:
        return ""
    run.mkdir(parents=True, exist_ok=True)
    return f"frontend inner\n    bind unix@{run}/drive.sock\n    default_backend drive"
