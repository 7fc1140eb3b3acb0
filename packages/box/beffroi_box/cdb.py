"""Writes a constant database (cdb): the names that dnsdist refuses. Pure but for the open file it is given.

Purpose: a million names on disk, asked without being held in memory by anyone.
Format:  https://cr.yp.to/cdb/cdb.txt: 256 pointers, records, hash tables; keys without data.
Fails:   ValueError beyond 4 GiB.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable
from typing import BinaryIO

_RECORD = struct.Struct("<II")
_START_BYTES = 2048


def wire_name(name: bytes) -> bytes:
    """Return a canonical name as it stands in a DNS question, in lower case, with the root's zero."""
    return b"".join(bytes((len(label),)) + label for label in name.split(b".")) + b"\0"


def write_keys(file: BinaryIO, keys: Iterable[bytes]) -> int:
    """Write all to a file opened at its start; return how many. Errors: OSError, ValueError (too much)."""
    hashes, places = array("I"), array("I")
    file.write(bytes(_START_BYTES))
    at = _START_BYTES
    for key in keys:
        number = 5381
        for byte in key:
            number = (number * 33 ^ byte) & 0xFFFFFFFF
        hashes.append(number)
        places.append(at)
        file.write(_RECORD.pack(len(key), 0))
        file.write(key)
        at += 8 + len(key)
    if at + 16 * len(hashes) >= 1 << 32:
        raise ValueError("more than a cdb can hold")
    pointers = []
    for members in _by_table(hashes):
        slots = array("I", bytes(16 * len(members)))
        size = len(members) * 2
        for member in members:
            number = hashes[member]
            slot = (number >> 8) % size
            while slots[2 * slot + 1]:
                slot = (slot + 1) % size
            slots[2 * slot], slots[2 * slot + 1] = number, places[member]
        pointers.append(_RECORD.pack(at, size))
        file.write(_little_endian(slots))
        at += 8 * size
    file.seek(0)
    file.write(b"".join(pointers))
    return len(hashes)


def _by_table(hashes: array[int]) -> list[array[int]]:
    tables = [array("I") for _ in range(256)]
    for member, number in enumerate(hashes):
        tables[number & 255].append(member)
    return tables


def _little_endian(numbers: array[int]) -> bytes:
    if struct.pack("=I", 1) != struct.pack("<I", 1):
        numbers.byteswap()
    return numbers.tobytes()
