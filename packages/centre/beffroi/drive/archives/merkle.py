"""A hash over many lines, of which one can be proved by a few hashes. Pure.

Source: RFC 6962 section 2.1 (the tree), RFC 9162 section 2.1.3 (checking a path). Leaf and node begin with different
        bytes, so that no node is taken for a line.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def leaf(line: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + line).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _levels(lines: Sequence[bytes]) -> list[list[bytes]]:
    """All hashes, leaves first. The last of an odd level goes up as it is."""
    level = [leaf(line) for line in lines]
    levels = [level]
    while len(level) > 1:
        paired = [_node(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        level = paired + level[len(level) & ~1 :]
        levels.append(level)
    return levels


def root(lines: Sequence[bytes]) -> bytes:
    """32 bytes; SHA-256 of nothing for no line."""
    return _levels(lines)[-1][0] if lines else hashlib.sha256().digest()


def path(lines: Sequence[bytes], index: int) -> list[bytes]:
    """The hashes that lead from line ``index`` (from 0) to the root: at most one for each doubling of their number."""
    found = []
    for level in _levels(lines)[:-1]:
        beside = index ^ 1
        if beside < len(level):
            found.append(level[beside])
        index >>= 1
    return found


def leads_to(root: bytes, line: bytes, *, index: int, count: int, path: Sequence[bytes]) -> bool:
    """Whether ``line`` is number ``index`` of the ``count`` lines that have this root."""
    if not 0 <= index < count:
        return False
    at, last, found = index, count - 1, leaf(line)
    for beside in path:
        if last == 0:
            return False
        if at & 1 or at == last:
            found = _node(beside, found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = _node(found, beside)
        at, last = at >> 1, last >> 1
    return last == 0 and found == root
