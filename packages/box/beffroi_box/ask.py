"""A question to the box's own recursor: addresses of a name, from its memory or from the internet.

Process: the agent; loopback only.
Input:   answers are the internet's: hostile. Every length is checked; anything odd ends the reading.
Fails:   an answer that cannot be read is an empty one; a recursor that is silent is an OSError.
Source:  RFC 1035.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import struct

from beffroi_box.cdb import wire_name

TIMEOUT_S = 2.0
A, AAAA = 1, 28
_LENGTHS = {A: 4, AAAA: 16}


def addresses(name: str, port: int, *, from_memory: bool = False) -> tuple[str, ...]:
    """Return what the recursor knows. ``from_memory``: ask nobody outside, so that no stranger hears of it.

    Errors: OSError (it does not answer).
    """
    found: list[str] = []
    for kind in (A, AAAA):
        found += _asked(name, kind, port, from_memory=from_memory)
    return tuple(dict.fromkeys(found))


def _asked(name: str, kind: int, port: int, *, from_memory: bool) -> list[str]:
    identity = os.urandom(2)
    flags = 0 if from_memory else 0x100
    question = identity + struct.pack(">5H", flags, 1, 0, 0, 0) + wire_name(name.encode())
    question += struct.pack(">HH", kind, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(TIMEOUT_S)
        client.connect(("127.0.0.1", port))
        client.send(question)
        answer = client.recv(4096)
    try:
        return read_addresses(answer) if answer[:2] == identity else []
    except (ValueError, IndexError, struct.error):
        return []


def read_addresses(message: bytes) -> list[str]:
    """Errors: IndexError, struct.error (cut off)."""
    questions, answers = struct.unpack_from(">HH", message, 4)
    at = 12
    for _ in range(questions):
        at = _after_name(message, at) + 4
    found = []
    for _ in range(answers):
        at = _after_name(message, at)
        kind, _, _, length = struct.unpack_from(">HHIH", message, at)
        at += 10
        if _LENGTHS.get(kind) == length and at + length <= len(message):
            found.append(str(ipaddress.ip_address(message[at : at + length])))
        at += length
    return found


def _after_name(message: bytes, at: int) -> int:
    while (length := message[at]) != 0:
        if length >= 0xC0:
            return at + 2
        at += 1 + length
    return at + 1
