"""Which bulk list it was: the value that covers an address or a name, looked up in the lists' own files.

Process: the agent; ``hold`` by its thread ``lists``, the questions by those that tell what was refused or met.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterable
from pathlib import Path

from beffroi_protocol.indicators import Indicator, Kind, registered_names
from beffroi_protocol.lists import ListIndex
from beffroi_protocol.messages import Action, BulkList, Entry

from beffroi_box.desired import prefixes_around
from beffroi_box.enforce import Enforcer

SHORTEST = {4: 8, 6: 16}
"""No listed prefix is sought that is wider."""


class Listed:
    def __init__(self, enforcer: Enforcer) -> None:
        self._enforcer = enforcer
        self._indexes: tuple[tuple[BulkList, ListIndex], ...] = ()

    def hold(self, lists: Iterable[BulkList], path: Callable[[BulkList], Path]) -> None:
        """From now on these, whose files are on disk. Errors: OSError."""
        wanted = tuple(lists)
        if wanted != tuple(one for one, _ in self._indexes):
            self._indexes = tuple((one, _index(one, path(one))) for one in wanted)

    def entry_for_address(self, address: str) -> Entry | None:
        """Return the listed value that covers this address, for the record of a refused flow."""
        return self._of_address(address, Action.BLOCK)

    def observed_address(self, address: str) -> Entry | None:
        """Return the value on trial that covers this address and would refuse it."""
        found = self._of_address(address, Action.WARN)
        passes = (
            found is None or self._enforcer.is_spared_address(address) or self._enforcer.is_protected(address)
        )
        return None if passes else found

    def _of_address(self, address: str, action: Action) -> Entry | None:
        for one, index in self._indexes:
            if one.action is not action:
                continue
            if one.kind is Kind.IP and address in index:
                return _entry(one, address)
            if one.kind is Kind.CIDR:
                for network in prefixes_around(address, SHORTEST):
                    if network in index:
                        return _entry(one, network)
        return None

    def entry_for_name(self, name: str) -> Entry | None:
        """Return the listed name for which this one is refused: itself, or a parent."""
        return self._of_name(name, Action.BLOCK)

    def observed_name(self, name: str) -> Entry | None:
        """Return the name on trial that is this one or a parent, and would refuse it."""
        found = self._of_name(name, Action.WARN)
        return None if found is None or self._enforcer.is_spared_name(name) else found

    def _of_name(self, name: str, action: Action) -> Entry | None:
        for one, index in self._indexes:
            if one.kind is Kind.DOMAIN and one.action is action:
                for parent in registered_names(name):
                    if parent in index:
                        return _entry(one, parent)
        return None


def _index(one: BulkList, path: Path) -> ListIndex:
    with path.open("rb") as file:
        buffer = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if one.count else b""
    # As plain values: an index of networks would hold each of them in memory.
    return ListIndex(buffer, Kind.IP)


def _entry(one: BulkList, value: str) -> Entry:
    return Entry(one.name, Indicator(one.kind, value), one.action, one.expires_at, one.threat or one.reason)
