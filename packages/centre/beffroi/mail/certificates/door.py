"""Give the running front door a certificate, without a restart: no connection ends.

Process: certificates, root's; HAProxy's admin socket (0600).
Fails:   DoorClosed; the door reads the folder at its next start in any case.
Source:  docs.haproxy.org/3.0/management.html, "set ssl cert", "add ssl crt-list".
"""

from __future__ import annotations

import socket
from pathlib import Path

from beffroi.mail.certificates import places

TIMEOUT_S = 10.0


class DoorClosed(Exception):
    """The front door does not answer, or did not take it."""


def load(state: Path, path: Path) -> None:
    """From now on this file's certificate is shown. Errors: DoorClosed, OSError."""
    pem = "\n".join(line for line in path.read_text("ascii").splitlines() if line.strip())
    known = _say(state, f"show ssl cert {path}").startswith("Filename")
    if not known:
        _say(state, f"new ssl cert {path}")
    if "Transaction created" not in _say(state, f"set ssl cert {path} <<\n{pem}\n"):
        raise DoorClosed()
    if "Success" not in _say(state, f"commit ssl cert {path}"):
        raise DoorClosed()
    if not known and "Success" not in _say(state, f"add ssl crt-list {path.parent} {path}"):
        raise DoorClosed()


def _say(state: Path, command: str) -> str:
    said = bytearray()
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(TIMEOUT_S)
            connection.connect(str(places.admin_socket(state)))
            connection.sendall(command.encode() + b"\n")
            while piece := connection.recv(65536):
                said += piece
    except OSError:
        raise DoorClosed() from None
    return said.decode("utf-8", "replace")
