"""Questions that dnsdist tells over a Unix socket (dnstap in frame streams): refused, observed, suspiciously long, or
one too many of a machine that asks too fast.

Purpose: which listed names were asked for, and how often. No other question comes here. Who asked is in the message
         too: it serves alarms about canary names and tunnels, under an opaque label, and is thrown away else.
Process: a thread of the agent; dnsdist, as its own user, connects.
Input:   names come from LAN clients: hostile; only names on a list are counted. Every length is checked.
Fails:   without it nothing is counted, names are refused all the same; dnsdist drops what is not read in time. Where
         it finds no socket it looks again after five seconds only: so who starts the box makes it (a ``.socket`` unit)
         and hands it over, and what dnsdist tells between two agents waits in it.
Source:  sd_listen_fds(3); github.com/farsightsec/fstrm (control frames), dnstap.info (Dnstap.identity 1, message 14,
         Message.query_address 4, Message.query_message 10).
"""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedRWPair
from pathlib import Path

MAX_FRAME_BYTES = 1 << 16
ACCEPT, START, STOP, READY, FINISH = 1, 2, 3, 4, 5
_CONTENT = b"protobuf:dnstap.Dnstap"
_FIRST_FD = 3
_IDENTITY, _MESSAGE, _QUERY_ADDRESS, _QUERY_MESSAGE = 1, 14, 4, 10


@dataclass(frozen=True)
class Question:
    """``kind``: the number of the record type. ``machine``: address of who asked, "" where it is not told. ``told_as``:
    how dnsdist signed it."""

    name: str
    kind: int = 1
    machine: str = ""
    told_as: str = ""


def listen(path: Path, owner: int) -> socket.socket:
    """Make the socket. ``owner``: user id of dnsdist, or -1. Errors: OSError."""
    path.unlink(missing_ok=True)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.bind(str(path))
    if owner >= 0:
        os.chown(path, owner, -1)
    path.chmod(0o600)
    made.listen(4)
    return made


def handed_over(path: Path) -> socket.socket | None:
    """The socket of this path, if whoever started this process listens there already. The one that was handed over
    stays open as long as the process."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return None
    for number in range(_FIRST_FD, _FIRST_FD + int(os.environ.get("LISTEN_FDS", "0"))):
        os.set_inheritable(number, False)
        found = socket.socket(fileno=os.dup(number))
        if found.family == socket.AF_UNIX and found.getsockname() == str(path):
            return found
        found.close()
    return None


class RefusalSocket:
    def __init__(self, path: Path, owner: int) -> None:
        """``owner``: user id of dnsdist, or -1. Errors: OSError."""
        self._socket = handed_over(path) or listen(path, owner)

    def __iter__(self) -> Iterator[Question]:
        """Errors: OSError."""
        while True:
            peer, _ = self._socket.accept()
            with peer, peer.makefile("rwb") as stream:
                try:
                    for frame in _frames(stream):
                        if question := asked(frame):
                            yield question
                except (OSError, ValueError):
                    continue  # dnsdist opens it again

    def close(self) -> None:
        self._socket.close()


def _frames(stream: BufferedRWPair) -> Iterator[bytes]:
    while len(head := stream.read(4)) == 4:
        (length,) = struct.unpack(">I", head)
        if length:
            yield _exactly(stream, length)
            continue
        (length,) = struct.unpack(">I", _exactly(stream, 4))
        control = _exactly(stream, length)
        kind = struct.unpack_from(">I", control)[0] if length >= 4 else 0
        if kind == READY:
            stream.write(_control(ACCEPT, struct.pack(">II", 1, len(_CONTENT)) + _CONTENT))
            stream.flush()
        elif kind == STOP:
            stream.write(_control(FINISH))
            stream.flush()
            return


def _exactly(stream: BufferedRWPair, length: int) -> bytes:
    if length > MAX_FRAME_BYTES or len(data := stream.read(length)) != length:
        raise ValueError("frame")
    return data


def _control(kind: int, fields: bytes = b"") -> bytes:
    return struct.pack(">III", 0, 4 + len(fields), kind) + fields


def asked(frame: bytes) -> Question | None:
    """Return the question of a dnstap message, its name in lower case; None when there is none."""
    try:
        message = _field(frame, _MESSAGE)
        name, kind = _question(_field(message, _QUERY_MESSAGE))
        if not name:
            return None
        address = _field(message, _QUERY_ADDRESS)
        machine = str(ipaddress.ip_address(address)) if len(address) in (4, 16) else ""
        return Question(name, kind, machine, _field(frame, _IDENTITY).decode("ascii"))
    except (IndexError, ValueError, struct.error):
        return None


def _field(data: bytes, wanted: int) -> bytes:
    """Return the bytes of one length-delimited protobuf field, b"" without it. Errors: IndexError, ValueError."""
    at = 0
    while at < len(data):
        key, at = _number(data, at)
        match key & 7:
            case 0:
                _, at = _number(data, at)
            case 1:
                at += 8
            case 2:
                length, at = _number(data, at)
                if key >> 3 == wanted:
                    return data[at : at + length]
                at += length
            case 5:
                at += 4
            case _:
                raise ValueError("wire type")
    return b""


def _number(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 64:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
    raise ValueError("number")


def _question(message: bytes) -> tuple[str, int]:
    at, labels = 12, []
    while (length := message[at]) != 0:
        if length > 63:
            raise ValueError("label")
        labels.append(message[at + 1 : at + 1 + length].decode("ascii"))
        at += 1 + length
    return ".".join(labels).lower(), struct.unpack_from(">H", message, at + 1)[0]
