"""The bulk lists' sets in the kernel: a million addresses changed without holding up an urgent block.

Purpose: hash sets, one for each prefix length in use, changed in many small transactions. A prefix set of the
         kernel is walked whole at each commit (179 s for a million in small steps), and one large transaction
         keeps every urgent block waiting for seconds; a hash set takes 500 elements in half a millisecond.
Order:   first the new keys come in, then the rules count them, then the keys that are gone go out: an address
         listed before and after is blocked all the time.
Process: the loader, CAP_NET_ADMIN only.
Fails:   keys are written down before they go in, so whoever comes after a crash knows what may be there; without
         that file the sets are emptied first.
Source:  docs/internals/box.md.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import batched
from pathlib import Path

from beffroi_box.bulkrules import bulk_rules, bulk_set, bulk_sets
from beffroi_box.errors import RulesRefused
from beffroi_box.netlink import DESTROYSETELEM, NEWSETELEM, Operation, SetWriter, key_encoder
from beffroi_box.ranges import BITS, gone
from beffroi_box.ruleset import TABLE
from beffroi_box.store import write_atomic

AT_ONCE = 500
"""Elements in one transaction: half a millisecond of the kernel's lock."""
_SET = re.compile(r"set (bulk[46]_[0-9]+) ")

Keys = Mapping[tuple[int, int], Sequence[int]]
"""(family, prefix length) -> ascending first addresses."""


class BulkSets:
    """``directory``: where the keys that may be in the kernel are written down."""

    def __init__(self, directory: Path) -> None:
        self._now, self._next = directory / "kernel", directory / "kernel.next"
        self._writer = SetWriter(TABLE)

    def replace(self, keys: Keys) -> None:
        """Make the bulk sets exactly these. Errors: RulesRefused, OSError (disk); what was blocked stays so."""
        before = [known for path in (self._now, self._next) if (known := _read(path)) is not None]
        if not before:
            self._empty()
        if before != [keys]:
            write_atomic(self._next, _written(keys))
        run_nft(bulk_sets(keys))
        for key, some in keys.items():
            self._change(NEWSETELEM, key, some)
        run_nft(bulk_rules(sorted(keys, key=lambda key: -len(keys[key]))))
        for known in before:
            self._take_out(known, keys)
        if self._next.exists():
            self._next.replace(self._now)

    def _take_out(self, known: Keys, keys: Keys) -> None:
        for key, some in known.items():
            try:
                self._change(DESTROYSETELEM, key, gone(some, keys.get(key, ())))
            except RulesRefused:
                if key in keys:
                    raise  # else another program, or a start, took the set away: nothing is in it
            if key not in keys:
                run_nft(f"destroy set inet {TABLE} {bulk_set(*key)}\n")

    def _change(self, verb: int, key: tuple[int, int], numbers: Iterable[int]) -> None:
        name, encode = bulk_set(*key), key_encoder(BITS[key[0]])
        for some in batched(numbers, AT_ONCE, strict=False):
            try:
                self._writer.commit([Operation(verb, name, [encode(number) for number in some])])
            except OSError as error:
                raise RulesRefused(error) from None

    @staticmethod
    def _empty() -> None:
        names = _SET.findall(run_nft("", "-t", "list", "table", "inet", TABLE))
        run_nft("".join(f"flush set inet {TABLE} {name}\n" for name in names))


def run_nft(text: str, *arguments: str) -> str:
    """Errors: RulesRefused."""
    argv = ["/usr/sbin/nft", *(arguments or ("-f", "-"))]
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        raise RulesRefused((done.stderr.strip().splitlines() or ["?"])[0][:200])
    return done.stdout


def _written(keys: Keys) -> bytes:
    parts = []
    for (version, length), some in keys.items():
        size = BITS[version] // 8
        parts.append(b"%d %d %d\n" % (version, length, len(some)))
        parts.append(b"".join(number.to_bytes(size) for number in some))
    body = b"".join(parts)
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def _read(path: Path) -> dict[tuple[int, int], Sequence[int]] | None:
    """Return None without a sound file."""
    try:
        digest, _, body = path.read_bytes().partition(b"\n")
    except OSError:
        return None
    if hashlib.sha256(body).hexdigest().encode() != digest:
        return None
    found: dict[tuple[int, int], Sequence[int]] = {}
    at = 0
    while at < len(body):
        end = body.index(b"\n", at)
        version, length, count = map(int, body[at:end].split())
        size = BITS[version] // 8
        at = end + 1 + size * count
        numbers = _numbers(body, end + 1, at, size)
        found[version, length] = array("I", numbers) if version == 4 else list(numbers)
    return found


def _numbers(body: bytes, start: int, end: int, size: int) -> Iterator[int]:
    return (int.from_bytes(body[i : i + size]) for i in range(start, end, size))
