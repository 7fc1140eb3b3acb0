"""Addresses of checked lists: parsed, freed of what is protected, merged, cut into blocks. Pure.

Purpose: a million lines become keys of hash sets. Ranges are packed integers (``low << bits | high``), because a
         tuple or a network object a line would need hundreds of MB.
Process: the loader, a short child of the agent.
Units:   addresses as integers, both ends included; ``bits`` is 32 or 128.
Source:  docs/internals/box.md.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from socket import AF_INET, AF_INET6, inet_pton

BITS = {4: 32, 6: 128}
STEP = 4


def packed_ranges(lines: Iterable[bytes]) -> dict[int, list[int]]:
    """Return the sorted packed ranges of canonical addresses and prefixes, by family. Errors: ValueError, OSError."""
    found: dict[int, list[int]] = {4: [], 6: []}
    four, six = found[4].append, found[6].append
    for line in lines:
        address, _, length = line.rstrip(b"\n").decode("ascii").partition("/")
        if ":" in address:
            low = int.from_bytes(inet_pton(AF_INET6, address))
            six(low << 128 | low | (1 << 128 - int(length or 128)) - 1)
        else:
            low = int.from_bytes(inet_pton(AF_INET, address))
            four(low << 32 | low | (1 << 32 - int(length or 32)) - 1)
    found[4].sort()
    found[6].sort()
    return found


def without(
    packed: Iterable[int], protected: Sequence[tuple[int, int]], bits: int
) -> tuple[list[int], tuple[int, int] | None]:
    """Cut the sorted, disjoint ``protected`` ranges out of sorted packed ones.

    Return what is left, and the first listed range that touched a protected one.
    """
    mask = (1 << bits) - 1
    kept: list[int] = []
    keep = kept.append
    first: tuple[int, int] | None = None
    at, count = 0, len(protected)
    for value in packed:
        low, high = value >> bits, value & mask
        while at < count and protected[at][1] < low:
            at += 1
        if at == count or protected[at][0] > high:
            keep(value)
            continue
        first = first or (low, high)
        for start, end in protected[at:]:
            if start > high:
                break
            if low < start:
                keep(low << bits | start - 1)
            low = end + 1
        if low <= high:
            keep(low << bits | high)
    return kept, first


def merged(packed: Iterable[int], bits: int) -> Iterator[tuple[int, int]]:
    """Join sorted packed ranges that overlap or touch: the kernel refuses overlaps, and fewer are cheaper."""
    mask = (1 << bits) - 1
    low, high = -1, -2
    for value in packed:
        start, end = value >> bits, value & mask
        if start <= high + 1 and low >= 0:
            high = max(high, end)
            continue
        if low >= 0:
            yield low, high
        low, high = start, end
    if low >= 0:
        yield low, high


def blocks(low: int, high: int, bits: int) -> Iterator[tuple[int, int]]:
    """Cut a range into aligned blocks: (prefix length, first address).

    Lengths are multiples of four: a prefix becomes at most eight blocks, and a packet is looked up in few sets.
    """
    while low <= high:
        aligned = (low & -low).bit_length() - 1 if low else bits
        fits = (high - low + 1).bit_length() - 1
        power = min(aligned, fits, bits - STEP) // STEP * STEP
        yield bits - power, low
        low += 1 << power


def keys(packed: Iterable[int], bits: int) -> dict[int, array[int] | list[int]]:
    """Return the first addresses of all blocks of sorted packed ranges: prefix length -> ascending keys."""
    found: dict[int, array[int] | list[int]] = {}
    whole = found[bits] = array("I") if bits == BITS[4] else []
    for low, high in merged(packed, bits):
        if low == high:
            whole.append(low)
            continue
        for length, first in blocks(low, high, bits):
            if length not in found:
                found[length] = array("I") if bits == BITS[4] else []
            found[length].append(first)
    return {length: some for length, some in found.items() if some}
