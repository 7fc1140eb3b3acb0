"""Writes a constant database (cdb): the names that dnsdist refuses. Pure but for the open file it is given.

Purpose: a million names on disk, asked without being held in memory by anyone.
Format:  https://cr.yp.to/cdb/cdb.txt: 256 pointers, records, hash tables; keys without data.
Fails:   ValueError beyond 4 GiB.
"""

from __future__ import annotations

import struct
from array import array
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import batched
from typing import BinaryIO

_RECORD = struct.Struct("<II")
_START_BYTES = 2048
_AT_ONCE = 4096
_LENGTHS = [bytes((length,)) for length in range(64)]


def wire_name(name: bytes) -> bytes:
    """Return a canonical name as it stands in a DNS question, in lower case, with the root's zero."""
    return b"".join([_LENGTHS[len(label)] + label for label in name.split(b".")]) + b"\0"


def write_keys(file: BinaryIO, keys: Iterable[bytes]) -> int:
    """Write all to a file opened at its start; return how many. Errors: OSError, ValueError (too much)."""
    hashes, places = array("I"), array("I")
    file.write(bytes(_START_BYTES))
    at = _START_BYTES
    for some in batched(keys, _AT_ONCE, strict=False):
        hashes.extend(_hashes(some))
        records: list[bytes] = []
        for key in some:
            places.append(at)
            records += (_RECORD.pack(len(key), 0), key)
            at += 8 + len(key)
        file.write(b"".join(records))
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


def _hashes(keys: Sequence[bytes]) -> array[int]:
    """The hash of each key, for all keys of one length at once: each has five bytes of one large number."""
    found = array("I", bytes(4 * len(keys)))
    by_length = defaultdict[int, list[int]](list)
    for at, key in enumerate(keys):
        by_length[len(key)].append(at)
    for length, members in by_length.items():
        count = len(members)
        joined = b"".join([keys[at] for at in members])
        ones = int.from_bytes(b"\1\0\0\0\0" * count, "little")
        column, mask, number = bytearray(5 * count), ones * 0xFFFFFFFF, ones * 5381
        for place in range(length):
            column[::5] = joined[place::length]
            number = (number * 33 & mask) ^ int.from_bytes(column, "little")  # 33 times 32 bits fit into 40
        spread, packed = number.to_bytes(5 * count, "little"), bytearray(4 * count)
        for byte in range(4):
            packed[byte::4] = spread[byte::5]
        for at, (value,) in zip(members, struct.iter_unpack("<I", packed), strict=True):
            found[at] = value
    return found


def _by_table(hashes: array[int]) -> list[array[int]]:
    tables = [array("I") for _ in range(256)]
    for member, number in enumerate(hashes):
        tables[number & 255].append(member)
    return tables


def _little_endian(numbers: array[int]) -> bytes:
    if struct.pack("=I", 1) != struct.pack("<I", 1):
        numbers.byteswap()
    return numbers.tobytes()
