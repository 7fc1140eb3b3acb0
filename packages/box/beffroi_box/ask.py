"""Questions to the box's own recursor: addresses of a name, from its memory or from the internet; of many names.

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
import time
from collections.abc import Iterable, Iterator
from itertools import batched

from beffroi_box.cdb import wire_name

TIMEOUT_S = 2.0
AT_ONCE = 16
"""So many questions wait at the recursor: a question of the LAN behind them waits for some tenths of a millisecond."""
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


def remembered(names: Iterable[str], port: int, *, limit_s: float) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield those of many names of which the recursor remembers addresses, asking nobody outside; after ``limit_s`` the
    rest is not asked. A lost answer is none.

    Errors: OSError (it does not answer at all).
    """
    end = time.monotonic() + limit_s
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(TIMEOUT_S)
        client.connect(("127.0.0.1", port))
        first = int.from_bytes(os.urandom(2))
        for some in batched(names, AT_ONCE, strict=False):
            if time.monotonic() > end:
                return
            known: dict[str, list[str]] = {}
            for kind in (A, AAAA):
                asked = {(first + n) & 0xFFFF: name for n, name in enumerate(some)}
                first = (first + len(asked)) & 0xFFFF
                for number, name in asked.items():
                    client.send(_question(number.to_bytes(2), name, kind, flags=0))
                for name, found in _answers(client, asked):
                    known.setdefault(name, []).extend(found)
            yield from ((name, tuple(dict.fromkeys(found))) for name, found in known.items() if found)


def _answers(client: socket.socket, asked: dict[int, str]) -> Iterator[tuple[str, list[str]]]:
    """Errors: OSError (not one of them is answered)."""
    waiting = dict(asked)
    while waiting:
        try:
            answer = client.recv(4096)
        except TimeoutError:
            if len(waiting) == len(asked):
                raise
            return
        name = waiting.pop(int.from_bytes(answer[:2]), "")
        if name:
            yield name, _read(answer)


def _asked(name: str, kind: int, port: int, *, from_memory: bool) -> list[str]:
    identity = os.urandom(2)
    question = _question(identity, name, kind, flags=0 if from_memory else 0x100)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(TIMEOUT_S)
        client.connect(("127.0.0.1", port))
        client.send(question)
        answer = client.recv(4096)
    return _read(answer) if answer[:2] == identity else []


def _question(identity: bytes, name: str, kind: int, *, flags: int) -> bytes:
    head = identity + struct.pack(">5H", flags, 1, 0, 0, 0)
    return head + wire_name(name.encode()) + struct.pack(">HH", kind, 1)


def _read(answer: bytes) -> list[str]:
    try:
        return read_addresses(answer)
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
