"""The bulk lists' sets in the kernel: a million addresses exchanged without holding up an urgent block.

Purpose: hash sets, one for each prefix length in use, filled anew beside those in force in many small transactions;
         one last transaction makes the rules ask the new ones and deletes the former.
Choice:  a set that declares its size gets the kernel's plain hash table: cheaper to fill and to ask than one that
         grows. A prefix set is walked whole at each commit; one large transaction keeps every urgent block waiting.
Sockets: when a netfilter socket is closed, the kernel frees all that was deleted before, and holds the lock for it
         that every urgent block needs: 10 to 200 ms. So one context of libnftables serves the whole load instead of
         a process of nft for each step, and the sockets are closed after the kernel had the time to free by itself.
Process: the loader, CAP_NET_ADMIN only.
Fails:   until the last transaction, what was in force stays; what a cut load left behind is deleted by the next.
Source:  nft_rcv_nl_event in linux/net/netfilter/nf_tables_api.c; docs/internals/box.md; docs/decisions/0023.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import batched

from beffroi_box.bulkrules import (
    GENERATION,
    bulk_declared,
    bulk_rules,
    bulk_set,
    deleted_sets,
    next_generation,
)
from beffroi_box.errors import RulesRefused
from beffroi_box.libnftables import Nft
from beffroi_box.netlink import NEWSETELEM, Operation, SetWriter, key_encoder
from beffroi_box.ranges import BITS
from beffroi_box.ruleset import TABLE

AT_ONCE = 500
"""Elements in one transaction: less than half a millisecond of the kernel's lock."""
TURNS = ("a", "b")
SETTLE_S, FREE_S = 0.1, 0.3e-6
"""A pause before a socket is closed, and its addition for each deleted element: the kernel frees them meanwhile."""
_DECLARED = re.compile(r"set (bulk[46]_\w+) \{(?:[^{}]*?\ssize (\d+))?")
_ASKED = re.compile(r"@(bulk[46]_\w+) ")
_GENERATION = re.compile(rf"ct mark & {GENERATION:#x} == (0x[0-9a-f]+) ")

Keys = Mapping[tuple[int, int], Sequence[int]]
"""(family, prefix length) -> first addresses, each once."""


class BulkSets:
    """For one load, then to be closed."""

    def __init__(self) -> None:
        self._nft, self._writer = Nft(), SetWriter(TABLE)
        self._deleted = 0

    def replace(self, keys: Keys) -> None:
        """Make the bulk sets exactly these, at one instant. Errors: RulesRefused; what was blocked stays so."""
        listed = self._nft.run(f"list table inet {TABLE}")
        declared = {name: int(size or 0) for name, size in _DECLARED.findall(listed)}
        former = declared.keys() & set(_ASKED.findall(listed))
        turn = TURNS[any(name.endswith(TURNS[0]) for name in former)]
        self._delete({name: declared[name] for name in declared.keys() - former})
        sizes = {key: len(some) for key, some in keys.items()}
        for (version, length), size in sizes.items():
            # Each by itself: the kernel clears the memory of its table under the lock.
            self._nft.run(bulk_declared(version, length, turn, size))
        for (version, length), some in keys.items():
            self._fill(bulk_set(version, length, turn), some, key_encoder(BITS[version]))
        # The fullest first: it is the one that most refused packets are found in.
        order = sorted(sizes, key=lambda key: -sizes[key])
        found = _GENERATION.search(listed)
        # Since the machine started, as connections.
        generation = next_generation(int(found[1], 16) if found else 0, int(time.monotonic() * 8))
        self._delete({name: declared[name] for name in former}, bulk_rules(order, turn, generation))

    def _delete(self, sets: Mapping[str, int], before: str = "") -> None:
        self._nft.run(before + deleted_sets(sets))
        self._deleted += sum(sets.values())

    def _fill(self, name: str, numbers: Iterable[int], encode: Callable[[int], bytes]) -> None:
        for some in batched(numbers, AT_ONCE, strict=False):
            try:
                self._writer.commit([Operation(NEWSETELEM, name, [encode(number) for number in some])])
            except OSError as error:
                raise RulesRefused(error) from None

    def close(self) -> None:
        time.sleep(SETTLE_S + self._deleted * FREE_S)
        self._writer.close()
        self._nft.close()
